"""Other tools' logs: one module a format, which recognises it and follows it; nothing here ever writes."""
