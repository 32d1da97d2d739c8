"""What anybody may read: the system's status and the texts that the administrator has written."""

from oneapi import __version__
from oneapi.handlers.base import Api, done
from oneapi.handlers.encode import number
from oneapi.providers import catalogue
from oneapi.wire import Json

# What One API answers while the administrator has not set an address.
_DEFAULT_ADDRESS = "http://localhost:3000"


async def status(api: Api) -> Json:
    """The public settings; health checks look for ``"success":true``."""
    options = api.store.options
    return done(
        {
            "chat_link": options.text("ChatLink"),
            "display_in_currency": options.flag("DisplayInCurrencyEnabled"),
            "email_verification": options.flag("EmailVerificationEnabled"),
            "footer_html": options.text("Footer"),
            "github_client_id": options.text("GitHubClientId"),
            "github_oauth": options.flag("GitHubOAuthEnabled"),
            "lark_client_id": options.text("LarkClientId"),
            "logo": options.text("Logo"),
            "oidc": options.flag("OidcEnabled"),
            "oidc_authorization_endpoint": options.text("OidcAuthorizationEndpoint"),
            "oidc_client_id": options.text("OidcClientId"),
            "oidc_token_endpoint": options.text("OidcTokenEndpoint"),
            "oidc_userinfo_endpoint": options.text("OidcUserinfoEndpoint"),
            "oidc_well_known": options.text("OidcWellKnown"),
            "quota_per_unit": number(options.relay.quota_per_unit),
            "server_address": options.text("ServerAddress") or _DEFAULT_ADDRESS,
            "start_time": api.services.started_at,
            "system_name": options.text("SystemName"),
            "top_up_link": options.text("TopUpLink"),
            "turnstile_check": options.flag("TurnstileCheckEnabled"),
            "turnstile_site_key": options.text("TurnstileSiteKey"),
            "version": __version__,
            "wechat_login": options.flag("WeChatAuthEnabled"),
            "wechat_qrcode": options.text("WeChatAccountQRCodeImageURL"),
        }
    )


async def notice(api: Api) -> Json:
    """The notice."""
    return done(api.store.options.text("Notice"))


async def about(api: Api) -> Json:
    """The text of the page "about"."""
    return done(api.store.options.text("About"))


async def home_page_content(api: Api) -> Json:
    """The text, or the address, of the start page."""
    return done(api.store.options.text("HomePageContent"))


async def models(api: Api) -> Json:
    """The built-in models of each channel type."""
    del api
    return done(catalogue.MODELS_BY_CHANNEL_TYPE)
