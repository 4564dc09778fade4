"""The command line's side: typed configs, exit codes, signals."""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
import signal
import sys
import threading
import traceback
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from slarisk.config import ROOTS, TrainConfig
from slarisk.errors import InputError, Refused
from slarisk.typed_config import GROUPS, take_choices, type_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


DONE, REFUSED, WRONG_INPUT, BUG, INTERRUPTED = 0, 1, 2, 70, 130


def register_schemas() -> None:
    """Tell Hydra the type of every config key, and of our sweepers."""
    from slarisk.sweeps.plugins import GridConfig, GridSweeper, SearchConfig, SearchSweeper

    for name, schema in ROOTS.items():
        # replace: a process may start more than one command
        ConfigStore.instance().store(name=f"{name}_schema", node=schema, replace=True)
    for sweeper in (GridSweeper, SearchSweeper):
        Plugins.instance().register(sweeper)
    store = ConfigStore.instance().store
    store(group="hydra/sweeper", name="basic", node=GridConfig, replace=True)  # what -m takes
    store(group="hydra/sweeper", name="search", node=SearchConfig, replace=True)


def run_command(main: Callable[[], Any]) -> NoReturn:
    """Run a Hydra main function and leave with the right exit code.

    0 done; 1 the gate refused; 2 the input or config is wrong; 130 interrupted; 70 a bug, with its
    traceback.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand errors over, instead of printing and exiting 1
    _heed_signals()
    sys.argv[1:] = _quote_numbers(sys.argv[1:])
    # Imports make a million objects that live to the end: looking through them for garbage, again
    # and again and once more on the way out, takes longer than many a fit.
    gc.set_threshold(100_000, 50, 100)
    code = _run(main)
    gc.freeze()
    sys.exit(code)


def _heed_signals() -> None:
    """Let `kill` and a closed terminal end what runs as Ctrl-C does: in good order."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows knows no SIGHUP, and nohup ignores it
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    sys.unraisablehook = _interrupt_again


@contextmanager
def _heeded_signals() -> Iterator[None]:
    """Heed signals in a parallel worker, which has not been through :func:`run_command`.

    Before and after a job there is nothing to end in good order: Ctrl-C is left to the command,
    which then ends its workers.
    """
    _heed_signals()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt_again(unraisable: Any) -> None:
    """Interrupt once more if the interrupt came in a finalizer, where Python would drop it."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        main = threading.main_thread().ident
        threading.Timer(0.01, signal.pthread_kill, [main, signal.SIGTERM]).start()
    else:
        sys.__unraisablehook__(unraisable)


def run_job(job: Callable[[Any], Any], config: DictConfig) -> Any:
    """Run a job on a composed config, inside Hydra's main function.

    A single job's error ends the program here: Hydra would put a line of its own before it. In a
    sweep that line says which job it was, and Hydra gets the error.
    """
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        parallel = multiprocessing.parent_process() is not None
        with _heeded_signals() if parallel else nullcontext():
            return job(read_config(config))
    results: list[Any] = []
    code = _run(lambda: results.append(job(read_config(config))))
    if code != DONE:
        sys.exit(code)
    return results[0] if results else None  # a job whose reader is gone has no result to give


def _run(main: Callable[[], Any]) -> int:
    try:
        main()
    except InputError as error:
        return _tell(f"error: {error}", WRONG_INPUT)
    except Refused as error:
        return _tell(str(error), REFUSED)
    except (HydraException, OmegaConfBaseException) as error:
        return _tell(f"error in the config: {_explain(error)}", WRONG_INPUT)
    except yaml.MarkedYAMLError as error:
        return _tell(f"error in the config: {_locate_yaml_error(error)}", WRONG_INPUT)
    except KeyboardInterrupt:
        return _tell("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # the reader of our output is gone; keep the interpreter from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if isinstance(error, ValueError) and _raised_in(error).startswith("hydra."):  # model=null
            return _tell(f"error in the config: {error}", WRONG_INPUT)
        traceback.print_exc()
        return BUG
    return DONE


def _raised_in(error: Exception) -> str:
    """Name the module that raised an error."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__"))


def _locate_yaml_error(error: yaml.MarkedYAMLError) -> str:
    """Write where a YAML file is broken, in one line."""
    mark = error.problem_mark or error.context_mark
    place = f"{mark.name}, line {mark.line + 1}: " if mark else ""
    what = error.problem or error.context or "this is no YAML"
    return f"{place}{what}. Check the indentation, and the quotes of values with a colon in them."


def _quote_numbers(arguments: list[str]) -> list[str]:
    """Quote choices that look like numbers: Hydra takes ``data=311`` for one, and not for a name.

    Examples
    --------
    >>> _quote_numbers(["data=311", "split.test_size=0.3", "data=sample"])
    ["data='311'", 'split.test_size=0.3', 'data=sample']
    """
    groups = "|".join(GROUPS)
    choice = re.compile(rf"({groups})=([\d.]+)")
    matches = [(each, choice.fullmatch(each)) for each in arguments]
    return [f"{match[1]}='{match[2]}'" if match else each for each, match in matches]


def _tell(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _explain(error: BaseException) -> str:
    """Write Hydra's message with what it leaves out.

    That is the message of its cause, which names the key and its type; or, for a choice that a
    group does not have, the option that is most like it.
    """
    parts = [str(error).strip()]
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        wrong = error.missing_cfg_file.rpartition("/")[2]
        near = get_close_matches(wrong, error.options, n=1)
        parts += [f"Did you mean {option}?" for option in near]
    if isinstance(error.__cause__, OmegaConfBaseException) and str(error.__cause__) not in parts[0]:
        parts.append(str(error.__cause__).strip())
    return "\n".join(part for part in parts if part)


def read_config(config: DictConfig) -> Any:
    """Turn a composed config into its dataclasses; a training config learns its choices.

    Raises
    ------
    InputError
        A value breaks a constraint of its key.
    """
    typed = type_config(config)
    if isinstance(typed, TrainConfig) and HydraConfig.initialized():
        typed.choices = take_choices(HydraConfig.get().runtime.choices)
        said = HydraConfig.get().overrides.task
        typed.overrides = [each for each in said if not each.lstrip("+").startswith("sweep.")]
    return typed
