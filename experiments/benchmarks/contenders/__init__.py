"""One file a contender: `make(case, …) -> block`, where calling `block()` trains for `case.steps` steps.

A contender whose library is not installed raises ImportError, one that cannot do a case NotImplementedError;
both are left out by name.
"""
