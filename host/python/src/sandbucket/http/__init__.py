"""HTTP: requests of plugins are checked and sent, under the egress policy of their store.

Framing and parsing are h11's, TLS is `ssl`'s. Neither urllib3 nor httpcore fits: they do not distinguish a response before the end of
the request from one after it, go on sending to a service that has refused, and repeat requests by themselves.
"""
