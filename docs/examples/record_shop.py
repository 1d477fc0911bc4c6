"""A record shop: pages of your own inside VinylVault, with covers, a stream and a cached file. docs/EMBEDDING.md explains it.

flask --app docs/examples/record_shop.py run
"""

import os
from typing import Any

from flask import Blueprint, Flask, render_template_string, send_file

from image_cache import wsgi
from image_cache.models import AlbumQuery
from image_cache.web.access import Role, declare_access
from image_cache.web.context import services
from image_cache.web.template_helpers import know_covers

PRICES = os.environ.get("PRICE_LIST", "https://shop.example/prices.csv")
PAGE = """
{% extends "base.html" %}
{% from "parts/streams.html" import render_stream_images_gallery, render_stream_image_uploader with context %}
{% from "parts/cache_controls.html" import show_cache_controls with context %}
{% block title %}The shop{% endblock %}
{% block main %}
<div class="head"><h1>{{ albums|length|records }} for sale</h1></div>
<div class="ways">{% for album in albums %}
<a href="/album/{{ album.id }}"><img src="{{ get_thumbnail_url(album) }}" width="150" height="150" alt="{{ album.title }}"></a>
{% endfor %}</div>
<h2>The window</h2>
{{ render_stream_images_gallery("shop-window") }}
{{ render_stream_image_uploader("shop-window") }}
<h2>The price list</h2>
<p><a href="/shop/prices">Download it</a></p>
{{ show_cache_controls() }}
{% endblock %}
"""
# Anyone may look. A view that changes something adds change=Role.OWNER or change=Role.OPERATOR.
shop = declare_access(read=Role.VISITOR)(Blueprint("shop", __name__))


@shop.get("/shop")
def window() -> str:
    wall = services().pages.wall(AlbumQuery(sort="added"), 1)  # registers the covers and queues missing ones
    know_covers(wall.covers)
    return render_template_string(PAGE, albums=wall.page.albums[:12])


@shop.get("/shop/prices")
def prices() -> Any:
    files = services().files
    path = files.cache.peek(PRICES)  # never waits for the other server
    if path is None:
        files.enqueue(PRICES)
        return {"state": "downloading"}, 202, {"Retry-After": "5"}
    return send_file(path, mimetype="text/csv")


def create_app() -> Flask:
    app = wsgi.create_app()
    app.register_blueprint(shop)
    return app
