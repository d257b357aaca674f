"""Job scripts: whose template is taken, what a mistake in one is told as, and what a shell makes of the values."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from kalloy.cli import cli
from kalloy.errors import SpecError
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.submission.script import job_script, require_scripts

TEMPLATE = "#!/bin/bash\n# from {where}\n{{{{ prefix }}}} -J {{{{ tag }}}}\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "kalloy"


@pytest.fixture
def on_slurm(tmp_path: Path, make_campaign: Callable[[Path], Campaign], home: Path) -> Campaign:
    spec = make_campaign(tmp_path / "a campaign; $HOME").root / "kalloy.toml"
    spec.write_text(spec.read_text().replace("jobs = 2", 'scheduler = "slurm"\noptions = { time = "24:00:00" }'))
    return Campaign(spec.parent)


def script_of(campaign: Campaign) -> str:
    return job_script(campaign, campaign.batches / "ktest", 3, campaign.spec.machine.for_stage(Stage.RELAX))


def put(folder: Path, text: str) -> None:
    (folder / "hpc_templates").mkdir(parents=True)
    (folder / "hpc_templates" / "slurm.sh.j2").write_text(text)


def test_the_campaigns_template_then_the_users_then_ours(on_slurm: Campaign, home: Path) -> None:
    assert "#SBATCH --time=24:00:00\n" in script_of(on_slurm)
    put(home, TEMPLATE.format(where="the user's folder"))
    assert script_of(on_slurm) == "#!/bin/bash\n# from the user's folder\n#SBATCH -J ktest\n"
    put(on_slurm.root, TEMPLATE.format(where="the campaign"))
    assert script_of(on_slurm) == "#!/bin/bash\n# from the campaign\n#SBATCH -J ktest\n"


def test_an_unknown_variable_is_named_with_the_nearest_known_one(on_slurm: Campaign) -> None:
    put(on_slurm.root, "#!/bin/bash\n{{ manifesto }}\n")
    with pytest.raises(SpecError) as caught:
        script_of(on_slurm)
    assert str(caught.value) == (
        f"{on_slurm.root}/hpc_templates/slurm.sh.j2: unknown variable 'manifesto'; did you mean 'manifest'?"
    )


def test_a_broken_template_stops_everything_before_anything_is_written(on_slurm: Campaign) -> None:
    put(on_slurm.root, "#!/bin/bash\n{% if %}\n")
    before = sorted(on_slurm.root.rglob("*"))
    for words in (["submit"], ["submit", "--dry-run"], ["run"]):
        result = CliRunner().invoke(cli, [*words, str(on_slurm.root)])
        assert isinstance(result.exception, SpecError), result.output
        assert "not a template" in str(result.exception)
    assert sorted(on_slurm.root.rglob("*")) == before
    with pytest.raises(SpecError):
        require_scripts(on_slurm)


def test_a_shell_reads_the_values_as_they_are(on_slurm: Campaign, tmp_path: Path) -> None:
    """A campaign's folder with a space, a semicolon and a dollar."""
    text = script_of(on_slurm).replace("exec ", "printf '%s\\n' ", 1)
    said = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[said.index("--manifest") + 1] == str(tmp_path / "a campaign; $HOME/batches/ktest/manifest.json")
    assert said[-2:] == ["--index", "0"]


def test_a_preview_shows_jobs_and_script_of_a_campaign_that_is_not_written(on_slurm: Campaign) -> None:
    before = sorted(on_slurm.root.rglob("*"))
    result = CliRunner().invoke(cli, ["submit", "--dry-run", str(on_slurm.root)])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "3 blocked, 3 ready; nothing is written or submitted"
    assert lines[2] == "3 jobs with time=24:00:00:"
    assert lines[3:6] == [f"  {m}/relax/a01, {m}/static/a01" for m in ("host", "K1/c1", "K1/c2")]
    assert "  | #SBATCH --time=24:00:00" in lines
    assert sorted(on_slurm.root.rglob("*")) == before
