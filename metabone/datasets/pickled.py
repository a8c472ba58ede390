"""Pickles that nobody vouches for, read as plain data: nothing they name is looked up or called."""

import io
import pickletools
from typing import Any

import numpy as np

from metabone.errors import InputError

MAX_STEPS = 2_000_000
"""CIFAR-100's training part takes some 500,000; each may make an object of about 100 bytes."""

ADMITTED = frozenset(
    {
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.ndarray",
        "numpy.dtype",
        "_codecs.encode",
    }
)
"""What a numpy array needs; noted as a name, not imported."""

_RECONSTRUCT = tuple(sorted(name for name in ADMITTED if name.endswith("_reconstruct")))
_PLAIN = {
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
}
_BYTES = {"STRING", "BINSTRING", "SHORT_BINSTRING"}  # Python 2 knew no other strings.
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Name:
    """A module's name for something; it stays a name."""

    __slots__ = ("text",)

    def __init__(self, text: str):
        self.text = text


class _Call:
    """A call that a pickle asks for and that is not made."""

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: tuple):
        self.name, self.args, self.state = name, args, None


class _Bad(Exception):
    """The pickle is none that a reader could have meant."""


def load(data: bytes, where: str) -> Any:
    """Reads a pickle of dictionaries, lists, tuples, text, bytes, whole numbers and numpy arrays.

    Python's own reader calls what a pickle names, and even restricted to numpy it can be made to
    allocate any amount of memory. This one follows the opcodes of protocols 0 to 4 with a stack of
    its own; its memory is bounded by the size of `data` and by `MAX_STEPS`.

    Args:
      data: The pickle. Text of Python 2 becomes bytes.
      where: Names it for the message.

    Returns:
      What the pickle holds; arrays are to be taken out with `uint8_array`.

    Raises:
      InputError: The pickle is damaged, wants something called that is not admitted, or takes more
        than `MAX_STEPS` steps.
    """
    try:
        return _Machine(where).run(data)
    except InputError:
        raise
    except Exception as error:
        # Hostile opcodes fail in nearly any way; all mean the same to the user.
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        reason = reason if reason.isprintable() else type(error).__name__
        raise InputError(f"{where}: damaged pickle ({reason})") from None


def uint8_array(value: Any, where: str) -> np.ndarray:
    """Makes the array that a pickle describes, once all its parts agree.

    Args:
      value: What `load` returned for an array.
      where: Names it for the message.

    Returns:
      Array of uint8, read-only, of the stated shape.

    Raises:
      InputError: No array, not of uint8, or its bytes do not fill its shape.
    """
    try:
        if value.name not in _RECONSTRUCT:
            raise _Bad
        _, shape, dtype, fortran, raw = value.state
        code = dtype.args[0]
        code = code.decode("ascii") if isinstance(code, bytes) else code
        whole = all(type(edge) is int and edge >= 0 for edge in shape)
        if dtype.name != "numpy.dtype" or not whole or not isinstance(raw, bytes):
            raise _Bad
    except Exception:
        raise InputError(f"{where}: expected a numpy array") from None
    if code not in ("u1", "|u1"):
        raise InputError(f"{where}: an array of type {code!a}, expected uint8")
    count = 1
    for edge in shape:
        count *= edge
    if count != len(raw) or len(shape) > 4:
        raise InputError(f"{where}: an array whose {len(raw)} bytes do not fill its shape")
    return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")


class _Machine:
    """The stack machine that a pickle is a program for, less everything that acts."""

    def __init__(self, where: str):
        self.where = where
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for step, (opcode, arg, _) in enumerate(pickletools.genops(io.BytesIO(data))):
            if step >= MAX_STEPS:
                raise InputError(f"{self.where}: a pickle of more than {MAX_STEPS} steps")
            if opcode.name == "STOP":
                return self.stack.pop()
            self.step(opcode.name, arg)
        raise _Bad("no end")

    def step(self, name: str, arg: Any) -> None:
        stack = self.stack
        if name in _PLAIN:
            stack.append(arg)
        elif name in _BYTES:
            stack.append(arg.encode("latin-1"))
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[arg] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[arg])
        elif name in _TUPLES:
            first = len(stack) - _TUPLES[name]
            if first < 0:
                raise _Bad("a tuple of more than there is")
            stack[first:] = [tuple(stack[first:])]
        elif name == "MARK":
            self.marked.append(stack)
            self.stack = []
        elif name in ("TUPLE", "LIST", "DICT", "APPENDS", "SETITEMS"):
            self.close(name)
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "APPEND":
            item = stack.pop()
            self.extend(stack[-1], [item])
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            self.update(stack[-1], [key, value])
        elif name in ("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"):
            self.describe(name, arg)
        elif name == "PROTO":
            if arg > 4:
                raise InputError(f"{self.where}: a pickle of protocol {arg}, expected 0 to 4")
        elif name != "FRAME":
            raise _Bad(f"it uses {name}, which plain data do not need")

    def close(self, name: str) -> None:
        items, self.stack = self.stack, self.marked.pop()
        if name == "TUPLE":
            self.stack.append(tuple(items))
        elif name == "LIST":
            self.stack.append(items)
        elif name == "DICT":
            self.stack.append({})
            self.update(self.stack[-1], items)
        elif name == "APPENDS":
            self.extend(self.stack[-1], items)
        else:
            self.update(self.stack[-1], items)

    def extend(self, target: Any, items: list[Any]) -> None:
        if type(target) is not list:
            raise _Bad("it appends to what is no list")
        target.extend(items)

    def update(self, target: Any, items: list[Any]) -> None:
        # The hash of a tuple in a tuple in a tuple ... would overflow the interpreter's stack.
        if type(target) is not dict or not all(type(key) in (bytes, str) for key in items[::2]):
            raise _Bad("its keys are not text")
        target.update(zip(items[::2], items[1::2], strict=True))

    def describe(self, name: str, arg: Any) -> None:
        stack = self.stack
        if name in ("GLOBAL", "STACK_GLOBAL"):
            if name == "GLOBAL":
                module, _, inner = arg.partition(" ")
            else:
                inner, module = stack.pop(), stack.pop()
            wanted = f"{module}.{inner}"
            if wanted not in ADMITTED:
                shown = ascii(wanted)[1:-1][:80]
                raise InputError(f"{self.where}: a pickle that wants {shown}: refused")
            stack.append(_Name(wanted))
            return
        given = stack.pop()
        if name == "REDUCE":
            called = stack.pop()
            if type(called) is not _Name or type(given) is not tuple:
                raise _Bad("it calls what is no name")
            if called.text == "_codecs.encode":  # Bytes, as protocols below 3 wrote them.
                text, codec = given
                if codec not in ("latin1", b"latin1"):
                    raise _Bad("it encodes other than by latin1")
                stack.append(str.encode(text, "latin-1"))
            else:
                stack.append(_Call(called.text, given))
        elif type(stack[-1]) is not _Call or stack[-1].state is not None:
            raise _Bad("it sets the state of what is no array")
        else:
            stack[-1].state = given
