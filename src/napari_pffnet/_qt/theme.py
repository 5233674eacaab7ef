"""Style sheet of the panel, in the colours of napari's theme."""

from __future__ import annotations

from napari.utils.theme import get_theme

PRIMARY = {"dark": ("#2f6fb5", "#3b80c9", "#ffffff"), "light": ("#2b67a8", "#245a94", "#ffffff")}


def style_sheet(theme_id: str) -> str:
    """Return the panel's own style; everything else is napari's."""
    theme = get_theme(theme_id)
    colour, hover, text = PRIMARY[theme.type]
    quiet = theme.text.as_rgb_tuple()[:3]
    return f"""
    #pffnet_title {{ font-size: {_larger(theme.font_size)}; font-weight: 600; }}
    #pffnet_quiet {{ color: rgba{(*quiet, 170)}; }}
    #pffnet_fold, #pffnet_fold:hover, #pffnet_fold:checked {{
        background-color: transparent; border: 0px; padding: 2px 0px; text-align: left;
    }}
    #pffnet_step, #pffnet_step:hover, #pffnet_step:checked {{
        background-color: transparent; border: 0px; padding: 2px 0px; text-align: left;
        font-size: {_larger(theme.font_size)}; font-weight: 600;
    }}
    QTreeWidget::indicator:unchecked {{ border: 1px solid rgba{(*quiet, 170)}; }}
    #pffnet_tool {{ padding: 4px 2px; }}
    #pffnet_tool:checked {{ background-color: {colour}; color: {text}; }}
    #pffnet_primary {{ background-color: {colour}; color: {text}; padding: 7px; font-weight: 600; }}
    #pffnet_primary:hover {{ background-color: {hover}; }}
    #pffnet_primary:disabled {{ background-color: {theme.primary.as_hex()}; color: rgba{(*quiet, 110)}; border: 0px; }}
    """


def _larger(size: str) -> str:
    return f"{int(size.removesuffix('pt')) + 3}pt"


def plot_colours(theme_id: str) -> tuple[str, str, str]:
    """Return the colours of plots: background, text and axes, bars."""
    theme = get_theme(theme_id)
    return theme.background.as_hex(), theme.text.as_hex(), PRIMARY[theme.type][1]
