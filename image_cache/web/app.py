"""Flask, and only here: routes that parse, call one service, and answer."""

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from config import MAX_BODY_BYTES
from image_cache.ground import secret_key
from image_cache.services import Services
from image_cache.web.accounts import accounts
from image_cache.web.api import api
from image_cache.web.commands import register_commands
from image_cache.web.context import EXTENSION, TEMPLATE_DIR, WARM, prepare_session
from image_cache.web.dashboard import dashboard
from image_cache.web.discogs import discogs, register_discogs
from image_cache.web.errors import register_errors
from image_cache.web.file_api import file_api
from image_cache.web.files import files
from image_cache.web.guard import register_guard
from image_cache.web.helpers import register_helpers
from image_cache.web.importing import importing
from image_cache.web.intake import UploadRequest
from image_cache.web.jobs import jobs
from image_cache.web.limits import register_limits
from image_cache.web.media import WarmCovers, media
from image_cache.web.metrics import metrics
from image_cache.web.music import music
from image_cache.web.music_commands import register_music_commands
from image_cache.web.notes import notes
from image_cache.web.ops import ops
from image_cache.web.pages import pages
from image_cache.web.removing import removing
from image_cache.web.sleeves import sleeves
from image_cache.web.stream_api import stream_api
from image_cache.web.stream_commands import register_stream_commands
from image_cache.web.stream_helpers import register_stream_helpers
from image_cache.web.stream_media import stream_media
from image_cache.web.stream_people import stream_people
from image_cache.web.streams import streams


def build_app(services: Services) -> Flask:
    """Assemble the application: blueprints, guards, helpers, and the short way for warm covers in front of it all."""
    settings = services.settings
    app = Flask("vinylvault", static_folder=None, template_folder=str(TEMPLATE_DIR))
    app.url_map.merge_slashes = False  # one address per thing: a doubled slash is a 404, not a redirect that quotes the Host
    app.request_class = UploadRequest
    app.extensions[EXTENSION] = services
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        MAX_FORM_PARTS=50,
        TRUSTED_HOSTS=list(settings.TRUSTED_HOSTS) or None,
    )
    prepare_session(app, secret_key(settings.secret_key_path))
    register_guard(app)  # before the limits: what a foreign page causes must not use up those of the visitor
    register_limits(app)
    register_errors(app)
    register_helpers(app)
    register_commands(app)
    register_music_commands(app)
    register_stream_helpers(app)
    register_discogs(app)
    register_stream_commands(app)
    for blueprint in (
        pages,
        media,
        api,
        accounts,
        ops,
        dashboard,
        metrics,
        streams,
        stream_media,
        stream_api,
        stream_people,
        files,
        file_api,
        jobs,
        importing,
        discogs,
        music,
        notes,
        removing,
        sleeves,
    ):
        app.register_blueprint(blueprint)
    warm = WarmCovers(app.wsgi_app, services.covers.cache.memory)
    app.wsgi_app = warm  # type: ignore[method-assign]
    app.extensions[WARM] = warm.look
    if settings.TRUSTED_PROXIES:
        hops = settings.TRUSTED_PROXIES
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app
