"""The Flask application: blueprints, checks of every request, and the fast path for warm covers."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from image_cache.bootstrap import secret_key
from image_cache.config import MAX_BODY_BYTES
from image_cache.services import Services
from image_cache.web.access import check_declarations, register_access
from image_cache.web.accounts.demo_login import demo_login, register_demo
from image_cache.web.accounts.household import household
from image_cache.web.accounts.scrobbling import scrobbling
from image_cache.web.accounts.tokens import api_tokens
from image_cache.web.accounts.views import accounts
from image_cache.web.admin.action_log import action_log
from image_cache.web.admin.alerts import alerts
from image_cache.web.admin.dashboard import dashboard
from image_cache.web.admin.health import ops
from image_cache.web.admin.metrics import metrics
from image_cache.web.compiled_templates import use_compiled_templates
from image_cache.web.context import BODY_LIMIT, EXTENSION, TEMPLATE_DIR, WARM, prepare_session
from image_cache.web.covers.api import api
from image_cache.web.covers.edit import sleeves
from image_cache.web.covers.media import WarmCovers, media
from image_cache.web.errors import register_errors
from image_cache.web.files.api import file_api
from image_cache.web.files.login_views import logins
from image_cache.web.files.registry_views import registries
from image_cache.web.files.views import files
from image_cache.web.forwarded import Forwarded, register_prefix
from image_cache.web.imports.discogs import discogs, register_discogs
from image_cache.web.imports.music import music
from image_cache.web.imports.tasks import jobs
from image_cache.web.imports.views import importing
from image_cache.web.rate_limits import register_limits
from image_cache.web.records.batches.removal import removing
from image_cache.web.records.batches.select import selecting
from image_cache.web.records.batches.undo import undoing
from image_cache.web.records.browsing.saved_views import saved_views
from image_cache.web.records.crates import crating
from image_cache.web.records.editing.add import adding
from image_cache.web.records.editing.copies import copying
from image_cache.web.records.editing.edit import editing
from image_cache.web.records.editing.merge import merging
from image_cache.web.records.editing.notes import notes
from image_cache.web.records.have import having
from image_cache.web.records.playing.moods import moods
from image_cache.web.records.playing.now import UnchangedNow, playing
from image_cache.web.records.take_along import taking
from image_cache.web.records.views import pages
from image_cache.web.records.wants import wanting
from image_cache.web.request_body import BodyLimitProbe, UploadRequest
from image_cache.web.security import register_security
from image_cache.web.site import site
from image_cache.web.stats.value import valuing
from image_cache.web.stats.views import stats
from image_cache.web.streams.api import stream_api
from image_cache.web.streams.changes.selection import stream_selection
from image_cache.web.streams.changes.trash import stream_trash
from image_cache.web.streams.downloads import stream_downloads
from image_cache.web.streams.feed import stream_feed
from image_cache.web.streams.media import stream_media
from image_cache.web.streams.share.members import stream_members
from image_cache.web.streams.share.shared import shared_pages
from image_cache.web.streams.share.sharing import stream_sharing
from image_cache.web.streams.share.visitor_uploads import visitor_uploads
from image_cache.web.streams.slideshow import stream_slideshow
from image_cache.web.streams.view_models import register_stream_helpers
from image_cache.web.streams.views import streams
from image_cache.web.template_helpers import register_helpers


def build_app(services: Services) -> Flask:
    """Build the application. Raises `LookupError` if a rule declares no access."""
    settings = services.settings
    app = Flask("vinylvault", static_folder=None, template_folder=str(TEMPLATE_DIR))
    use_compiled_templates(app)
    app.url_map.merge_slashes = False  # one URL per resource: a doubled slash is a 404, not a redirect that quotes the Host
    app.request_class = UploadRequest
    app.extensions[EXTENSION] = services
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        MAX_FORM_PARTS=50,
        TRUSTED_HOSTS=list(settings.TRUSTED_HOSTS) or None,
    )
    prepare_session(app, secret_key(settings.secret_key_path))
    register_security(app)  # limits are counted inside the views: what was refused before uses none up
    register_prefix(app, settings.URL_PREFIX, settings.TRUSTED_PROXIES)
    register_access(app)
    register_limits(app)
    register_errors(app)
    register_helpers(app)
    register_stream_helpers(app)
    register_discogs(app)
    register_demo(app, settings.DEMO_ORIGIN)
    for blueprint in (
        pages,
        site,
        media,
        api,
        accounts,
        household,
        api_tokens,
        scrobbling,
        demo_login,
        ops,
        dashboard,
        alerts,
        action_log,
        metrics,
        streams,
        stream_media,
        stream_api,
        stream_members,
        stream_trash,
        stream_selection,
        stream_sharing,
        stream_feed,
        stream_slideshow,
        stream_downloads,
        shared_pages,
        visitor_uploads,
        files,
        registries,
        logins,
        file_api,
        jobs,
        importing,
        discogs,
        music,
        moods,
        notes,
        adding,
        editing,
        having,
        wanting,
        playing,
        saved_views,
        selecting,
        crating,
        undoing,
        merging,
        copying,
        removing,
        taking,
        stats,
        valuing,
        sleeves,
    ):
        app.register_blueprint(blueprint)
    check_declarations(app)
    probe = BodyLimitProbe(app, app.wsgi_app)
    warm = WarmCovers(probe, services.covers)  # before the probe: a cover has no body
    app.wsgi_app = UnchangedNow(warm, services.turntable)  # type: ignore[method-assign]
    app.extensions[WARM], app.extensions[BODY_LIMIT] = warm, probe.ask
    if settings.TRUSTED_PROXIES:
        hops = settings.TRUSTED_PROXIES
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    if settings.URL_PREFIX or settings.TRUSTED_PROXIES or settings.TRUSTED_HOSTS:
        app.wsgi_app = Forwarded(app.wsgi_app, settings.URL_PREFIX, settings.TRUSTED_PROXIES)  # type: ignore[method-assign]
    app.wsgi_app = StartOnFirstRequest(app, services)  # type: ignore[method-assign]
    return app


class StartOnFirstRequest:
    """Starts the threads with the first request, for a server that did not call `Services.start`; then leaves the chain.

    Ours calls it when a worker starts. Not in `build_app`: a server may fork after that, and threads do not survive a fork.
    """

    def __init__(self, app: Flask, services: Services) -> None:
        self._app = app
        self._services = services
        self._inner = app.wsgi_app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self._services.start()
        if self._app.wsgi_app is self:  # not when it was wrapped again
            self._app.wsgi_app = self._inner  # type: ignore[method-assign]
        return self._inner(environ, start_response)
