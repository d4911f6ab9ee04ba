//! What the XML of an answer says.
