"""Conversion between Python values and those of a component.

The conversion of the `wasmtime` package asks for every type again at every value, and makes an object of every byte: 1.5 ms for the
smallest call, seconds for a list of bytes. Here a type is read once, and turned into an object that writes and reads the memory of
the C API (`wasmtime_component_val_t`) as blocks. Lists of bytes are moved by slices.

| WIT | Python |
| --- | --- |
| record | `dict` with the names of the contract; a missing field is `None` |
| variant | `(case, value)` |
| option | `None`, or the value |
| enum | `str` |
| list of u8 | `bytes` |
| tuple | `tuple` |
| result | `("ok" or "err", value)` |
| resource (borrowed) | `ResourceAny` |
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any

from wasmtime import _ffi as ffi
from wasmtime.component import _types as types

_VAL = ffi.wasmtime_component_val_t
SIZE = ctypes.sizeof(_VAL)
"""Bytes of one value in the C API."""

_OF = _VAL.of.offset
_ENTRY = ffi.wasmtime_component_valrecord_entry_t
_ENTRY_SIZE = ctypes.sizeof(_ENTRY)
_ENTRY_VAL = _ENTRY.val.offset

# The layouts that the offsets below rely on. They are checked once, at import, so that another version of the `wasmtime` package fails
# here and not by reading other memory.
_EXPECTED = {
    "value": (SIZE, _OF) == (32, 8),
    "entry": (_ENTRY_SIZE, _ENTRY.name.offset, _ENTRY_VAL) == (48, 0, 16),
    "vector": ctypes.sizeof(ffi.wasmtime_component_vallist_t) == ctypes.sizeof(ffi.wasm_byte_vec_t) == 16,
    "variant": vars(ffi.wasmtime_component_valvariant_t)["val"].offset == 16,
    "result": vars(ffi.wasmtime_component_valresult_t)["val"].offset == 8,
}
if not all(_EXPECTED.values()):
    wrong = [name for name, holds in _EXPECTED.items() if not holds]
    raise ImportError(f"sandbucket does not know the C API of this version of wasmtime: {', '.join(wrong)}")

_KIND = struct.Struct("<B7x")
_SIZED = struct.Struct("<QQ")
_POINTER = struct.Struct("<Q")


class Arena(list[Any]):
    """The memory that lowered values point to. It has to outlive the call."""

    def hold(self, image: bytes) -> int:
        """The address of these bytes."""
        self.append(image)
        return ctypes.cast(ctypes.c_char_p(image), ctypes.c_void_p).value or 0


Lower = Callable[[Any, Arena], bytes]
Lift = Callable[[bytes, int], Any]


class Codec:
    """Converts the values of one type. `lower` gives the image of a value in the C API, `lift` reads one."""

    def __init__(self, lower: Lower, lift: Lift) -> None:
        self.lower = lower
        self.lift = lift


def _constant(kind: Any) -> bytes:
    return _KIND.pack(kind.value)


def _read(address: int, length: int) -> bytes:
    return ctypes.string_at(address, length) if length else b""


def _text(image: bytes, at: int) -> str:
    size, data = _SIZED.unpack_from(image, at)
    return _read(data, size).decode()


def codec(ty: types.ValType) -> Codec:
    """The codec of a type, which asks for its parts once."""
    if isinstance(ty, types.Bool):
        return _scalar(ffi.WASMTIME_COMPONENT_BOOL, "?")
    for known, kind, form in (
        (types.U8, ffi.WASMTIME_COMPONENT_U8, "B"),
        (types.U16, ffi.WASMTIME_COMPONENT_U16, "H"),
        (types.U32, ffi.WASMTIME_COMPONENT_U32, "I"),
        (types.U64, ffi.WASMTIME_COMPONENT_U64, "Q"),
    ):
        if isinstance(ty, known):
            return _scalar(kind, form)
    if isinstance(ty, types.String):
        return _string(ffi.WASMTIME_COMPONENT_STRING)
    if isinstance(ty, types.EnumType):
        return _enum(frozenset(ty.names))
    if isinstance(ty, types.ListType):
        element = ty.element
        return _bytes() if isinstance(element, types.U8) else _list(codec(element))
    if isinstance(ty, types.TupleType):
        return _tuple([codec(element) for element in ty.elements])
    if isinstance(ty, types.RecordType):
        return _record([(name, codec(field)) for name, field in ty.fields])
    if isinstance(ty, types.OptionType):
        return _option(codec(ty.payload))
    if isinstance(ty, types.VariantType):
        return _variant({name: None if case is None else codec(case) for name, case in ty.cases})
    if isinstance(ty, types.ResultType):
        return _result(None if ty.ok is None else codec(ty.ok), None if ty.err is None else codec(ty.err))
    if isinstance(ty, types.BorrowType):
        return _borrow()
    raise TypeError(f"the contract has no values of the type {type(ty).__name__}")


def _scalar(kind: Any, form: str) -> Codec:
    packing = struct.Struct(f"<B7x{form}")
    reading = struct.Struct(f"<{form}")
    padding = bytes(SIZE - packing.size)

    def lower(value: Any, _: Arena) -> bytes:
        return packing.pack(kind.value, value) + padding

    def lift(image: bytes, at: int) -> Any:
        return reading.unpack_from(image, at + _OF)[0]

    return Codec(lower, lift)


def _string(kind: Any) -> Codec:
    head = _constant(kind)
    padding = bytes(SIZE - len(head) - _SIZED.size)

    def lower(value: Any, arena: Arena) -> bytes:
        text = value.encode()
        return head + _SIZED.pack(len(text), arena.hold(text)) + padding

    return Codec(lower, lambda image, at: _text(image, at + _OF))


def _enum(names: frozenset[str]) -> Codec:
    text = _string(ffi.WASMTIME_COMPONENT_ENUM)

    def lower(value: Any, arena: Arena) -> bytes:
        if value not in names:
            raise ValueError(f"{value!r} is none of {', '.join(sorted(names))}")
        return text.lower(value, arena)

    return Codec(lower, text.lift)


def _bytes() -> Codec:
    head = _constant(ffi.WASMTIME_COMPONENT_LIST)
    kind = bytes([ffi.WASMTIME_COMPONENT_U8.value])
    padding = bytes(SIZE - len(head) - _SIZED.size)

    def lower(value: Any, arena: Arena) -> bytes:
        images = bytearray(len(value) * SIZE)
        images[0::SIZE] = kind * len(value)
        images[_OF::SIZE] = value
        memory = (ctypes.c_char * len(images)).from_buffer(images)
        arena.append(memory)
        return head + _SIZED.pack(len(value), ctypes.addressof(memory) if images else 0) + padding

    def lift(image: bytes, at: int) -> Any:
        size, data = _SIZED.unpack_from(image, at + _OF)
        return _read(data, size * SIZE)[_OF::SIZE]

    return Codec(lower, lift)


def _list(element: Codec) -> Codec:
    head = _constant(ffi.WASMTIME_COMPONENT_LIST)
    padding = bytes(SIZE - len(head) - _SIZED.size)

    def lower(value: Any, arena: Arena) -> bytes:
        images = b"".join([element.lower(item, arena) for item in value])
        return head + _SIZED.pack(len(value), arena.hold(images)) + padding

    def lift(image: bytes, at: int) -> Any:
        size, data = _SIZED.unpack_from(image, at + _OF)
        items = _read(data, size * SIZE)
        lift_item = element.lift
        return [lift_item(items, place) for place in range(0, size * SIZE, SIZE)]

    return Codec(lower, lift)


def _tuple(elements: list[Codec]) -> Codec:
    head = _constant(ffi.WASMTIME_COMPONENT_TUPLE)
    padding = bytes(SIZE - len(head) - _SIZED.size)

    def lower(value: Any, arena: Arena) -> bytes:
        images = b"".join([element.lower(item, arena) for element, item in zip(elements, value, strict=True)])
        return head + _SIZED.pack(len(elements), arena.hold(images)) + padding

    def lift(image: bytes, at: int) -> Any:
        size, data = _SIZED.unpack_from(image, at + _OF)
        items = _read(data, size * SIZE)
        return tuple([element.lift(items, n * SIZE) for n, element in enumerate(elements)])

    return Codec(lower, lift)


def _record(fields: list[tuple[str, Codec]]) -> Codec:
    head = _constant(ffi.WASMTIME_COMPONENT_RECORD)
    padding = bytes(SIZE - len(head) - _SIZED.size)
    names = Arena()
    images = [_SIZED.pack(len(name.encode()), names.hold(name.encode())) for name, _ in fields]
    known = frozenset(name for name, _ in fields)

    def lower(value: Any, arena: Arena) -> bytes:
        if not known.issuperset(value):
            raise ValueError(f"no fields of the contract: {', '.join(sorted(set(value) - known))}")
        parts: list[bytes] = []
        assert names  # The images point into them.
        for image, (name, field) in zip(images, fields, strict=True):
            parts.append(image)
            parts.append(field.lower(value.get(name), arena))
        return head + _SIZED.pack(len(fields), arena.hold(b"".join(parts))) + padding

    def lift(image: bytes, at: int) -> Any:
        size, data = _SIZED.unpack_from(image, at + _OF)
        if size != len(fields):
            raise ValueError("a record of another type")
        entries = _read(data, size * _ENTRY_SIZE)
        # The fields are those of the type, in its order: their names are not read again.
        return {name: field.lift(entries, n * _ENTRY_SIZE + _ENTRY_VAL) for n, (name, field) in enumerate(fields)}

    return Codec(lower, lift)


def _option(payload: Codec) -> Codec:
    head = _constant(ffi.WASMTIME_COMPONENT_OPTION)
    none = head + bytes(SIZE - len(head))
    padding = bytes(SIZE - len(head) - _POINTER.size)

    def lower(value: Any, arena: Arena) -> bytes:
        if value is None:
            return none
        return head + _POINTER.pack(arena.hold(payload.lower(value, arena))) + padding

    def lift(image: bytes, at: int) -> Any:
        (address,) = _POINTER.unpack_from(image, at + _OF)
        return payload.lift(_read(address, SIZE), 0) if address else None

    return Codec(lower, lift)


def _variant(cases: dict[str, Codec | None]) -> Codec:
    head = _constant(ffi.WASMTIME_COMPONENT_VARIANT)
    names = Arena()
    images = {name: _SIZED.pack(len(name.encode()), names.hold(name.encode())) for name in cases}

    def lower(value: Any, arena: Arena) -> bytes:
        case, payload = value
        inner = cases[case]
        assert names  # The images point into them.
        address = 0 if inner is None else arena.hold(inner.lower(payload, arena))
        return head + images[case] + _POINTER.pack(address)

    def lift(image: bytes, at: int) -> Any:
        case = _text(image, at + _OF)
        inner = cases[case]
        (address,) = _POINTER.unpack_from(image, at + _OF + _SIZED.size)
        return (case, None if inner is None or not address else inner.lift(_read(address, SIZE), 0))

    return Codec(lower, lift)


def _result(ok: Codec | None, err: Codec | None) -> Codec:
    def lower(_: Any, __: Arena) -> bytes:
        raise TypeError("the contract takes no result")

    def lift(image: bytes, at: int) -> Any:
        is_ok = image[at + _OF] != 0
        (address,) = _POINTER.unpack_from(image, at + _OF + 8)
        inner = ok if is_ok else err
        return ("ok" if is_ok else "err", None if inner is None or not address else inner.lift(_read(address, SIZE), 0))

    return Codec(lower, lift)


def _borrow() -> Codec:
    head = _constant(ffi.WASMTIME_COMPONENT_RESOURCE)
    padding = bytes(SIZE - len(head) - _POINTER.size)

    def lower(value: Any, arena: Arena) -> bytes:
        arena.append(value)
        address = ctypes.cast(value.ptr(), ctypes.c_void_p).value or 0
        return head + _POINTER.pack(address) + padding

    def lift(_: bytes, __: int) -> Any:
        raise TypeError("the contract gives no resource")

    return Codec(lower, lift)


class Function:
    """The types of a function, read once; `call` is one call of an instance's function."""

    def __init__(self, params: list[types.ValType], result: types.ValType) -> None:
        self._params = [codec(param) for param in params]
        self._result = codec(result)

    def call(self, store: Any, function: Any, *arguments: Any) -> Any:
        """Calls the function. Raises what `wasmtime` raises."""
        arena = Arena()
        images = b"".join([param.lower(value, arena) for param, value in zip(self._params, arguments, strict=True)])
        params = (_VAL * len(self._params)).from_buffer_copy(images)
        result = _VAL()
        error = ffi.wasmtime_component_func_call(
            ctypes.byref(function._func), store._context(), params, len(self._params), ctypes.byref(result), 1
        )
        arena.clear()
        if error:
            raise ffi_error(error)
        try:
            return self._result.lift(ctypes.string_at(ctypes.addressof(result), SIZE), 0)
        finally:
            ffi.wasmtime_component_val_delete(ctypes.byref(result))


def ffi_error(pointer: Any) -> Exception:
    """The exception of an error of the C API."""
    from wasmtime import WasmtimeError

    return WasmtimeError._from_ptr(pointer)
