"""Files in, text out: one module a family of formats, all of them run by `isolate` in processes of their own."""
