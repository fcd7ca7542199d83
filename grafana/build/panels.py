"""Queries -> panels that look alike: legends shown, the last real value in a stat, a colour per meaning."""

from collections.abc import Iterable, Sequence

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from looks import PLAIN, UNKNOWN, States, Steps, fixed, states, steps
from queries import RATE
from variables import DATA_SOURCE

Query = prometheus.Dataquery
LOG = common.ScaleDistributionConfig().type(look.ScaleDistribution.LOG).log(10)
SLOWEST_SCRAPE = "60s"
WATCHED = "watched"
NOBODY = "nothing measured"
TOO_FEW = "too few answers: choose a longer window above"


def line(expr: str, legend: str = "", ref: str = "A", min_step: str = "") -> Query:
    """A query over time. `min_step`: the longest time between two scrapes of the series.

    A rate needs two samples: it is taken over four times that, of 60s at least.
    """
    query = _query(expr, ref).legend_format(legend).range()
    min_step = min_step or (SLOWEST_SCRAPE if RATE in expr else "")
    return query.interval(min_step) if min_step else query


def now(expr: str, legend: str = "", ref: str = "A") -> Query:
    """The value at the end of the time range; nothing when the series has gone."""
    return _query(expr, ref).legend_format(legend).instant()


def column(expr: str, ref: str) -> Query:
    """One value column of a table."""
    return _query(expr, ref).instant().format(PromQueryFormat.TABLE)


def _query(expr: str, ref: str) -> Query:
    return Query().datasource(DATA_SOURCE).expr(expr).ref_id(ref)


def lettered(queries: Iterable[Query]) -> list[Query]:
    """Reference letters in order."""
    return [query.ref_id(chr(ord("A") + number)) for number, query in enumerate(queries)]


def number(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    colors: Steps = ((None, PLAIN),),
    none: str = "–",
    decimals: int | None = None,
) -> stat.Panel:
    """One figure, or a few, legible from afar. Coloured by `colors`; `none` is shown without data."""
    panel = _stat(title, description, queries).unit(unit).no_value(none).thresholds(steps(*colors))
    panel = panel.color_mode(look.BigValueColorMode.VALUE)
    if len(queries) > 1:
        panel = panel.text_mode(look.BigValueTextMode.VALUE_AND_NAME)
        # In a low tile names would shrink to what nobody can read.
        panel = panel.text(common.VizTextDisplayOptions().title_size(13))
    return panel if decimals is None else panel.decimals(decimals)


def state(
    title: str, description: str, query: Query, names: States, *, none: str, none_color: str = UNKNOWN
) -> stat.Panel:
    """A word on a coloured ground; without data `none` on `none_color`."""
    return (
        _stat(title, description, [query])
        .unit("none")
        .mappings(states(names))
        .no_value(none)
        .thresholds(steps((None, none_color)))
        .color_mode(look.BigValueColorMode.BACKGROUND_SOLID)
        .justify_mode(look.BigValueJustifyMode.CENTER)
    )


def _stat(title: str, description: str, queries: Iterable[Query]) -> stat.Panel:
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATA_SOURCE)
        .targets(lettered(queries))
        .graph_mode(look.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    )


def graph(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    limits: Steps = (),
    calcs: Sequence[str] = (),
    none: str = "–",
) -> timeseries.Panel:
    """Lines over time from 0. `limits` are drawn dashed; `calcs` stand in the legend beside the graph."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATA_SOURCE)
        .targets(lettered(queries))
        .unit(unit)
        .no_value(none)
        .axis_soft_min(0)
        .line_width(2)
        .fill_opacity(5)
        .show_points(look.VisibilityMode.AUTO)
        .point_size(5)
        .legend(_legend(calcs))
        .tooltip(_tooltip())
    )
    if limits:
        drawn = common.GraphThresholdsStyleConfig().mode(look.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(steps((None, "transparent"), *limits)).thresholds_style(drawn)
    return panel


def faults(
    title: str, description: str, unit: str, *queries: Query, seen: str, none: str = NOBODY
) -> timeseries.Panel:
    """Bars of what went wrong. Flat at 0 while there is `seen`, which was looked at; else `none` is shown."""
    watched = line(f"0 * sum({seen})", WATCHED)
    panel = stack(title, f"{description} Flat: watched, and none.", unit, *queries, watched, none=none)
    return panel.axis_soft_max(0.05 if unit == "percentunit" else 1).override_by_name(
        WATCHED, [fixed(UNKNOWN)]
    )


def stack(title: str, description: str, unit: str, *queries: Query, none: str = "–") -> timeseries.Panel:
    """Bars that add up; `none` is shown without any."""
    return (
        graph(title, description, unit, *queries, none=none)
        .draw_style(look.GraphDrawStyle.BARS)
        .fill_opacity(80)
        .line_width(0)
        .stacking(common.StackingConfig().mode(look.StackingMode.NORMAL).group("A"))
    )


def timeline(
    title: str, description: str, query: Query, names: States, none: str = "no exporter in the time range"
) -> statetimeline.Panel:
    """Which state when, a line for each series."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(DATA_SOURCE)
        .targets(lettered([query]))
        .unit("none")
        .mappings(states(names))
        .no_value(none)
        .thresholds(steps((None, UNKNOWN)))
        .show_value(look.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.85)
        .fill_opacity(80)
        .line_width(0)
        .legend(_legend(()))
        .tooltip(_tooltip())
    )


def density(title: str, description: str, query: Query) -> heatmap.Panel:
    """How many samples fell into which bucket when. `query` gives increases of buckets by `le`."""
    colors = (
        heatmap.HeatmapColorOptions()
        .mode(heat.HeatmapColorMode.SCHEME)
        .scheme("Turbo")
        .steps(64)
        .exponent(0.5)
        .reverse(False)
    )
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(DATA_SOURCE)
        .targets([query.format(PromQueryFormat.HEATMAP).legend_format("{{le}}").ref_id("A")])
        .calculate(False)
        .color(colors)
        .y_axis(heatmap.YAxisConfig().unit("s").decimals(2))
        .unit("s")
        .cell_gap(1)
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .show_legend()
        .tooltip(heatmap.HeatmapTooltip().mode(look.TooltipDisplayMode.SINGLE).y_histogram(True))
    )


def bars(
    title: str, description: str, unit: str, *queries: Query, colors: Steps, none: str = "–"
) -> bargauge.Panel:
    """Horizontal bars of what is the case now."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATA_SOURCE)
        .targets(lettered(queries))
        .unit(unit)
        .min(0)
        .no_value(none)
        .orientation(look.VizOrientation.HORIZONTAL)
        .display_mode(look.BarGaugeDisplayMode.BASIC)
        .sizing(look.BarGaugeSizing.MANUAL)  # one bar alone is no wall
        .min_viz_height(16)
        .max_viz_height(32)
        .name_placement(look.BarGaugeNamePlacement.LEFT)
        .value_mode(look.BarGaugeValueMode.COLOR)
        .show_unfilled(True)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
        .thresholds(steps(*colors))
    )


def rows(title: str, description: str, unit: str, *queries: Query, none: str = "–") -> table.Panel:
    """A table; what its columns are is said by `shaped` or by transformations of its own."""
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(DATA_SOURCE)
        .targets(queries)
        .unit(unit)
        .no_value(none)
        .thresholds(steps((None, "text")))
        .cell_height(look.TableCellHeight.SM)
        .min_width(70)
        .show_header(True)
    )


def shaped(panel: table.Panel, columns: dict[str, str], *, sort_by: str = "") -> table.Panel:
    """Merge the queries into one table of these columns, in this order, under these names."""
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    keep = {"include": {"names": list(columns)}}
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="filterFieldsByName", options=keep))
    shape = {
        "indexByName": {name: index for index, name in enumerate(columns)},
        "renameByName": columns,
        "excludeByName": {},
    }
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=shape))
    if sort_by:
        order = {"sort": [{"field": sort_by, "desc": False}]}
        panel = panel.with_transformation(model.DataTransformerConfig(id_val="sortBy", options=order))
    return panel


def _legend(calcs: Sequence[str]) -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(look.LegendDisplayMode.TABLE if calcs else look.LegendDisplayMode.LIST)
        # Under the graph a table of some targets leaves no graph.
        .placement(look.LegendPlacement.RIGHT if calcs else look.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(list(calcs))
    )


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(look.TooltipDisplayMode.MULTI).sort(look.SortOrder.DESCENDING)
