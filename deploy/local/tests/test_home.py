import os
import stat
from pathlib import Path

import psutil
import pytest

from ontomesh_chassis.startup import ConfigError
from ontomesh_local.home import AlreadyRunning, Home, RunningService, RunningStack


def test_a_first_preparation_makes_everything_and_shows_it_to_the_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    assert home.prepare()
    names = {"token", "relay.token", "gateway.token", "signing-key.json", "keys.json", "policy.toml"}
    names |= {"data", "logs", "tour"}
    assert {path.name for path in home.path.iterdir()} == names
    for path in [home.path, *home.path.iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_second_preparation_leaves_the_token_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    token = (home.path / "token").read_text()
    assert not home.prepare()
    assert (home.path / "token").read_text() == token


def test_a_folder_that_cannot_be_made_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot prepare .*ONTOMESH_HOME names another folder"):
        Home(tmp_path / "file" / "home").prepare()


def test_a_home_is_held_by_one_and_free_again_afterwards(tmp_path: Path) -> None:
    home = Home(tmp_path)
    service = RunningService("data-kernel", 4711, "127.0.0.1:1", "http://127.0.0.1:2")
    with home.held():
        home.write_stack((service,))
        with pytest.raises(AlreadyRunning) as refused, home.held():
            pass
        assert refused.value.stack is not None
        assert (refused.value.stack.pid, refused.value.stack.services) == (os.getpid(), (service,))
    assert home.running() is None
    with home.held():
        pass


def test_a_process_id_that_another_process_got_since_is_not_taken_for_the_stack(tmp_path: Path) -> None:
    me = psutil.Process()
    assert RunningStack(me.pid, me.create_time()).process() is not None
    assert RunningStack(me.pid, me.create_time() - 60).process() is None


def test_a_stack_file_that_makes_no_sense_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"pid": 1}')
    with pytest.raises(ConfigError, match=r"stack\.json cannot be understood"):
        Home(tmp_path).running()
