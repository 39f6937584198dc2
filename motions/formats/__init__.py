"""Foreign motion formats, one module each with one function ``load(path, ...) -> Clip``."""
