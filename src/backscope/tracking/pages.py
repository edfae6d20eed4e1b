"""The pages of MLflow's UI that show curves at once: what is printed at the end of a run or a sweep.

Left to itself the UI opens a view for language models, and hides a sweep's runs behind their parent. Sorting by a
parameter that only the nested runs have lays them flat, so that the chart page draws the first ten.
"""

import re
from urllib.parse import quote, urlencode

UI = "http://127.0.0.1:5000"  # where `make ui` serves a store that is not a server


def how_to_open(uri: str) -> str:
    """What comes before a page's address where the store has no server yet."""
    return "" if uri.startswith("http") else "`make ui`, then "


def run_page(uri: str, experiment_id: str, run_id: str) -> str:
    """The charts of one run: its depth profiles first, then every layer's series.

    >>> run_page("sqlite:////lab/mlflow.db", "1", "ab12")
    'http://127.0.0.1:5000/#/experiments/1/runs/ab12/model-metrics?workflowType=machine_learning'
    """
    return f"{_server(uri)}/#/experiments/{experiment_id}/runs/{run_id}/model-metrics?workflowType=machine_learning"


def sweep_page(uri: str, experiment_id: str, sweep_id: str) -> str:
    """The charts of a sweep: the depth profiles of its runs in one picture."""
    query = {
        "workflowType": "machine_learning",
        "compareRunsMode": "CHART",
        "searchFilter": f"tags.sweep_id = '{sweep_id}'",
        "orderByKey": "params.`model.depth`",
        "orderByAsc": "false",
    }
    return f"{_server(uri)}/#/experiments/{experiment_id}/runs?{urlencode(query, quote_via=quote)}"


def _server(uri: str) -> str:
    """The server's address, without the user name and password that may be in it.

    >>> _server("https://me:secret@lab:5000/")
    'https://lab:5000'
    """
    return re.sub(r"//[^/]*@", "//", uri.rstrip("/")) if uri.startswith("http") else UI
