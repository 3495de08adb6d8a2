"""A link to the dashboard in Airflow's menu."""

import os

from airflow.plugins_manager import AirflowPlugin


class LiberLinks(AirflowPlugin):
    """Adds the menu entry where LIBER_DASHBOARD_URL is set."""

    name = "liber_links"
    external_views = [  # noqa: RUF012
        {"name": "LIBER dashboard", "href": url, "destination": "nav", "url_route": "liber-dashboard"}
        for url in [os.environ.get("LIBER_DASHBOARD_URL")]
        if url
    ]
