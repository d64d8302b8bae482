"""The public names: a flat list, compared with reality, because lists that are kept by hand drift."""

import inspect
import subprocess
import sys

import sessionfsm
from sessionfsm import errors

# Their methods do what their protocol says.
AS_THEIR_PROTOCOL_SAYS = (sessionfsm.MemoryStore, sessionfsm.SQLiteStore, sessionfsm.MemoryCredentials)


def test_every_public_name_can_be_had_and_every_error_is_public() -> None:
    """What __all__ promises exists; no error class is forgotten; dir() shows the list."""
    for name in sessionfsm.__all__:
        assert getattr(sessionfsm, name) is not None
    assert len(set(sessionfsm.__all__)) == len(sessionfsm.__all__)
    assert dir(sessionfsm) == sorted(sessionfsm.__all__)
    assert set(errors.__all__) <= set(sessionfsm.__all__)
    assert set(sessionfsm._HOMES) | {"__version__"} == set(sessionfsm.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Misspelt names fail as in any module."""
    assert not hasattr(sessionfsm, "Sesion")


def test_every_public_class_and_function_is_documented() -> None:
    """Each has a docstring, and so has each public method and property of the classes."""
    for name in sessionfsm.__all__:
        value = getattr(sessionfsm, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        assert value.__doc__, name
        if inspect.isclass(value) and not issubclass(value, AS_THEIR_PROTOCOL_SAYS):
            for member, function in vars(value).items():
                if not member.startswith("_") and (inspect.isfunction(function) or isinstance(function, property)):
                    assert function.__doc__, f"{name}.{member}"


def test_every_error_has_one_base_and_stands_in_the_tree_of_its_module() -> None:
    """Users can catch SessionFSMError; the picture at the top of the module leaves none out."""
    for name in errors.__all__:
        error = getattr(errors, name)
        assert issubclass(error, errors.SessionFSMError)
        assert name in (errors.__doc__ or "")


def test_importing_the_package_imports_none_of_its_dependencies() -> None:
    """Names are loaded when they are used, so that a command line that only prints its help is quick."""
    script = (
        "import sys, sessionfsm;"
        "heavy = {'httpx', 'anyio', 'transitions', 'msgspec', 'hypothesis', 'trio', 'pytest', 'h11', 'rich'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
