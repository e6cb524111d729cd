"""Services whose URLs are secrets, and where in them the secret stands: data.

A form is the one that the service itself hands out. Compared with a document were Slack and Teams (gitleaks
slack-webhook-url, microsoft-teams-webhook), Logic Apps and Power Automate (GitHub azure_logic_apps_url,
power_automate_webhook_sas), Feishu, Healthchecks (healthchecks.io/docs/slug_urls) and Beeceptor
(beeceptor.com/docs/create-endpoint). The others are known from URLs that were seen; no document was looked up.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """All of a path behind `path` is a secret, or with `label` the first label of the host."""

    domain: str  # the last labels of the host
    path: str = ""  # a regular expression for the path's beginning, up to a slash
    label: bool = False


SERVICES = (
    Service("hooks.slack.com", r"/(?:services|triggers|workflows)/"),
    Service("hooks.slack-gov.com", r"/(?:services|triggers|workflows)/"),
    Service("discord.com", r"/api(?:/v[0-9]+)?/webhooks/"),
    Service("discordapp.com", r"/api(?:/v[0-9]+)?/webhooks/"),
    Service("api.telegram.org", "/"),
    Service("webhook.office.com", "/"),
    Service("outlook.office.com", "/webhook/"),
    Service("outlook.office365.com", "/webhook/"),
    Service("logic.azure.com", "/workflows/"),
    Service("powerplatform.com", "/.*/workflows/"),
    Service("azure-automation.net", "/webhooks"),
    Service("chat.googleapis.com", "/v1/spaces/"),
    Service("qyapi.weixin.qq.com", "/cgi-bin/webhook/"),
    Service("oapi.dingtalk.com", "/robot/"),
    Service("open.feishu.cn", r"/open-apis/bot/(?:v2/)?hook/"),
    Service("open.larksuite.com", r"/open-apis/bot/(?:v2/)?hook/"),
    Service("feishu.cn", r"/(?:flow/api/trigger-webhook|base/automation/webhook/event)/"),
    Service("larksuite.com", r"/(?:flow/api/trigger-webhook|base/automation/webhook/event)/"),
    Service("n8n.cloud", r"/webhook(?:-test|-waiting)?/"),
    Service("webhook.site", "/"),
    Service("webhookrelay.com", r"/v1/webhooks/"),
    Service("hook.relay", "/"),
    Service("requestbin.com", "/"),
    Service("beeceptor.com", label=True),
    Service("requestcatcher.com", label=True),
    Service("typedwebhook.tools", "/webhook/"),
    Service("api.cloudflare.com", r"/client/v4/(?:pages|workers)/(?:webhooks|builds)/(?:deploy_hooks/)?"),
    Service("api.vercel.com", r"/v[0-9]+/integrations/deploy/"),
    Service("api.netlify.com", r"/(?:build_hooks|hooks)/"),
    Service("api.render.com", "/deploy/"),
    Service("railway.app", "/webhooks/"),
    Service("amplify.amazonaws.com", "/prod/webhooks"),
    Service("smee.io", "/"),
    Service("hookdeck.com", "/"),
    Service("hkdk.events", "/"),
    Service("svix.com", r"/(?:in|api/v[0-9]+/receive)/"),
    Service("pipedream.net", label=True),
    Service("trayapp.io", label=True),
    Service("tray.io", label=True),
    Service("workato.com", r"/webhooks/"),
    Service("bitrix24.com", r"/rest/[0-9]+/"),
    *(Service(f"bitrix24.{country}", r"/rest/[0-9]+/") for country in ("ru", "de", "eu", "fr", "com.br", "in", "pl")),
    Service("hooks.zapier.com", "/hooks/"),
    Service("hooks.zapier.app", "/"),
    Service("make.com", "/"),
    Service("integromat.com", "/"),
    Service("maker.ifttt.com", "/trigger/[^/]+/(?:json/)?with/key/"),
    Service("connect.pabbly.com", r"/(?:workflow|webhook-listener)/"),
    Service("hook.integrately.com", "/"),
    Service("webhooks.integrately.com", "/"),
    Service("flow.zoho.com", "/"),
    Service("cliq.zoho.com", "/api/v2/channelsbyname/"),
    Service("events.pagerduty.com", r"/(?:integration|x-ere)/"),
    Service("api.opsgenie.com", r"/v[0-9]+/json/"),
    Service("alert.victorops.com", "/integrations/generic/[0-9]+/alert/"),
    Service("oncall.grafana.net", "/integrations/v1/[a-z_]+/"),
    Service("api.flock.com", "/hooks/sendMessage/"),
    Service("hooks.glip.com", "/webhook/"),
    Service("ringcentral.com", "/webhook/"),
    Service("api.pushover.net", "/1/"),
    Service("ntfy.sh", "/"),
    Service("hc-ping.com", "/"),
    Service("uptime.betterstack.com", "/api/v1/heartbeat/"),
    Service("sctapi.ftqq.com", "/"),
    Service("api.day.app", "/"),
    Service("hooks.stripe.com", "/"),
    Service("hooks.airtable.com", "/workflows/v1/genericWebhook/"),
    Service("hooks.jandi.com", "/connect-api/webhook/"),
    Service("wh.jandi.com", "/connect-api/webhook/"),
    Service("automation.atlassian.com", "/pro/hooks/"),
    Service("script.google.com", "/macros/(?:d|s)/"),
    Service("cloud.activepieces.com", "/api/v1/webhooks/"),
    Service("hook.us1.make.celonis.com", "/"),
    Service("ifttt.com", "/trigger/[^/]+/(?:json/)?with/key/"),
    Service("api.monday.com", "/v2/webhook/"),
    Service("webhooks.mongodb-stitch.com", "/"),
)

# On any host: behind a segment of these, whatever is no plain word or number is a secret. Mattermost, Rocket.Chat,
# GitLab, Jira, Home Assistant, Jenkins and n8n are served from their customers' own.
HOOKS = frozenset(
    [
        "hook",
        "hooks",
        "webhook",
        "webhooks",
        "webhook-test",
        "webhook-waiting",
        "webhookb2",
        "incomingwebhook",
        "incoming-webhook",
        "incoming",
        "deploy_hooks",
        "deploy-hooks",
        "build_hooks",
        "trigger",
        "triggers",
        "catch",
        "deploy",
        "with",
        "robot",
        "wh",
        "inbound-webhook",
        "web_hooks",
    ]
)
