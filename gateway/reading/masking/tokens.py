"""The shapes of tokens that are known by themselves, wherever they stand: data, each with where it is from.

A source is `gitleaks NAME` for a rule of that scanner's default configuration (of 2025), `GitHub NAME` for a type in
the list of GitHub's secret scanning (of 2026), or the vendor's own documentation. `no public list` says that the shape
is only known from keys that were seen.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Issuer:
    """Tokens that begin as nothing else does: these characters are enough, whatever follows and wherever it is cut."""

    prefix: str  # a regular expression
    source: str


@dataclass(frozen=True, slots=True)
class TokenShape:
    """Tokens whose beginning is an ordinary word's, too: only the whole is one, or what is left of it at a cut end."""

    prefix: str  # a regular expression
    letters: str  # a class of characters
    length: int  # of how many that follow the prefix, at least
    source: str


@dataclass(frozen=True, slots=True)
class Form:
    """Tokens known by how their parts are joined."""

    pattern: str  # a regular expression
    source: str


HEX, LOWER, ALPHANUMERIC, URLSAFE = "[0-9a-f]", "[a-z0-9]", "[A-Za-z0-9]", "[A-Za-z0-9_-]"

ISSUERS = (
    Issuer(
        r"sk-(?:ant|proj|svcacct|admin|or|lf|kimi)-",
        "gitleaks anthropic-api-key, openai-api-key; GitHub openrouter_api_key",
    ),
    Issuer(r"[rs]k_(?:live|test|prod|org)_", "gitleaks stripe-access-token; docs.stripe.com/keys"),
    Issuer("whsec_", "GitHub stripe_webhook_signing_secret; Standard Webhooks"),
    Issuer("gh[oprsu]_", "gitleaks github-pat, github-oauth, github-app-token, github-refresh-token"),
    Issuer("github_pat_", "gitleaks github-fine-grained-pat"),
    Issuer(
        "gl(?:pat|cbt|dt|ft|ffct|imt|agent|oas|ptt|rt|rtr|soat|wt)-", "docs.gitlab.com/security/tokens, token prefixes"
    ),
    Issuer("GR1348941", "gitleaks gitlab-rrt"),
    Issuer("xox[abceoprs](?:\\.xox[abp])?-", "gitleaks slack-bot-token, slack-user-token, slack-config-access-token"),
    Issuer("xapp-", "gitleaks slack-app-token"),
    Issuer("AIza", "gitleaks gcp-api-key"),
    Issuer(r"ya29\.", "developers.google.com/identity/protocols/oauth2"),
    Issuer("GOCSPX-", "GitHub google_oauth_client_secret"),
    Issuer(r"SG\.", "gitleaks sendgrid-api-token"),
    Issuer("do[opr]_v1_", "gitleaks digitalocean-pat, -access-token, -refresh-token"),
    Issuer("shp(?:at|ca|pa|ss|ua|tka)_", "gitleaks shopify-access-token and kin"),
    Issuer("AT(?:ATT|CTT|STT)3", "gitleaks atlassian-api-token; GitHub atlassian_api_token"),
    Issuer("pypi-A", "gitleaks pypi-upload-token"),
    Issuer("y0_Ag", "GitHub yandex_passport_oauth_token"),
    Issuer(
        "(?:vcp|vck|cfut|cfat|phx|phc)_",
        "GitHub vercel_personal_access_token, cloudflare_user_api_token, posthog_personal_api_key",
    ),
    Issuer("bedrock-api-key-", "gitleaks aws-amazon-bedrock-api-key-short-lived"),
    Issuer("rzp_(?:live|test)_", "razorpay.com/docs"),
    Issuer("npm_", "gitleaks npm-access-token"),
    Issuer("hf_", "gitleaks huggingface-access-token"),
    Issuer("gw_", "this gateway's own keys"),
    Issuer("r8_", "GitHub replicate_api_token"),
    Issuer("xai-", "GitHub xai_api_key"),
    Issuer("gsk_", "GitHub groq_api_key"),
    Issuer("pplx-", "gitleaks perplexity-api-key"),
    Issuer("nvapi-", "docs.nvidia.com/nemo/retriever, API keys"),
    Issuer("tgp_v1_", "docs.together.ai"),
    Issuer("pcsk_", "GitHub pinecone_api_key"),
    Issuer("lsv2_(?:pt|sk)_", "GitHub langchain_api_personal_key, langchain_api_server_key"),
    Issuer("[ps]k-lf-", "langfuse.com/docs"),
    Issuer("tvly-", "docs.tavily.com"),
    Issuer("wandb_v1_", "GitHub wandb_api_key"),
    Issuer("hv[bsr]\\.", "gitleaks vault-batch-token, vault-service-token"),
    Issuer("lin_(?:api|oauth)_", "gitleaks linear-api-key"),
    Issuer("NR(?:AK|AL|AA|II|IQ|JS|BR|RA)-", "gitleaks new-relic-user-api-key and kin"),
    Issuer("PMAK-", "gitleaks postman-api-token"),
    Issuer("PMAT-", "GitHub postman_collection_key"),
    Issuer("dckr_(?:pat|oat)_", "GitHub docker_personal_access_token, docker_organization_access_token"),
    Issuer("HRKU-", "gitleaks heroku-api-key-v2"),
    Issuer("nf[pcoub]_", "answers.netlify.com, change to the authentication token format, 2023"),
    Issuer("sb[pv]_", "GitHub supabase_personal_access_token"),
    Issuer("sb_(?:secret|publishable)_", "GitHub supabase_secret_key; supabase.com/docs/guides/api/api-keys"),
    Issuer("pat-(?:na|eu)[0-9]-", "GitHub hubspot_private_apps_user_token"),
    Issuer("CLOJARS_", "gitleaks clojars-api-token"),
    Issuer("dp\\.(?:pt|st|ct|sa|scim|audit)\\.", "gitleaks doppler-api-token; GitHub doppler_cli_token and kin"),
    Issuer("duffel_(?:test|live)_", "gitleaks duffel-api-token"),
    Issuer("dt0[a-z][0-9]{2}\\.", "gitleaks dynatrace-api-token"),
    Issuer("FLW(?:SECK|PUBK)(?:_TEST)?-", "gitleaks flutterwave-secret-key"),
    Issuer("fio-u-", "gitleaks frameio-api-token"),
    Issuer("f[om][0-9][ar]?_", "gitleaks flyio-access-token"),
    Issuer("gl(?:c|sa)_", "gitleaks grafana-cloud-api-token, grafana-service-account-token"),
    Issuer("s-s4t2(?:ud|af)-", "gitleaks intra42-client-secret"),
    Issuer("sntry[sua]_", "gitleaks sentry-org-token, sentry-user-token; GitHub sentry_user_app_auth_token"),
    Issuer("ntn_", "gitleaks notion-api-token"),
    Issuer("ops_ey", "gitleaks 1password-service-account-token"),
    Issuer("AGE-SECRET-KEY-1", "gitleaks age-secret-key"),
    Issuer("p8e-", "gitleaks adobe-client-secret"),
    Issuer("pscale_(?:tkn|oauth|pw|app)_", "gitleaks planetscale-api-token and kin"),
    Issuer("pn[ub]_", "gitleaks prefect-api-token"),
    Issuer("rdme_", "gitleaks readme-api-token"),
    Issuer("rubygems_", "gitleaks rubygems-api-token"),
    Issuer("tk-us-", "gitleaks scalingo-api-token"),
    Issuer("x(?:keysib|smtpsib)-", "gitleaks sendinblue-api-token; GitHub sendinblue_smtp_key"),
    Issuer("sm_[aps]at_", "gitleaks settlemint-application-access-token and kin"),
    Issuer("shippo_(?:live|test)_", "gitleaks shippo-api-token"),
    Issuer("sgp_", "gitleaks sourcegraph-access-token"),
    Issuer("sq[upa]_", "gitleaks sonar-api-token"),
    Issuer("sq0(?:atp|csp|idp)-", "gitleaks square-access-token; GitHub square_production_application_secret"),
    Issuer("tfp_", "gitleaks typeform-api-token"),
    Issuer("tskey-", "GitHub tailscale_api_key"),
    Issuer("figd_", "GitHub figma_pat"),
    Issuer("dnkey-", "gitleaks defined-networking-api-token"),
    Issuer("sha256~", "gitleaks openshift-user-token"),
    Issuer("CCIPAT_|CCIPRJ_", "GitHub circleci_personal_access_token, circleci_project_access_token"),
)

SHAPES = (
    TokenShape("secret_", ALPHANUMERIC, 43, "GitHub notion_integration_token"),
    TokenShape("re_", "[A-Za-z0-9_]", 24, "resend.com/docs/api-reference"),
    TokenShape("rnd_", ALPHANUMERIC, 24, "no public list, keys of render.com"),
    TokenShape("(?:live|test)_(?:pub_)?", URLSAFE, 31, "gitleaks gocardless-api-token, lob-api-key"),
    TokenShape("AQVN", URLSAFE, 34, "gitleaks yandex-api-key"),
    TokenShape("YC", URLSAFE, 38, "gitleaks yandex-aws-access-token"),
    TokenShape("vercel_", ALPHANUMERIC, 24, "GitHub vercel_api_key"),
    TokenShape("fw_", ALPHANUMERIC, 22, "docs.fireworks.ai"),
    TokenShape("pul-", LOWER, 40, "gitleaks pulumi-api-token"),
    TokenShape("ico-", ALPHANUMERIC, 32, "gitleaks infracost-api-token"),
    TokenShape("ATBB", ALPHANUMERIC, 28, "no public list, app passwords of bitbucket.org"),
    TokenShape("EZ[AT]K", ALPHANUMERIC, 54, "gitleaks easypost-api-token, easypost-test-api-token"),
    TokenShape("AKCp", ALPHANUMERIC, 60, "gitleaks artifactory-api-key"),
    TokenShape("cmVmd", ALPHANUMERIC, 50, "gitleaks artifactory-reference-token"),
    TokenShape("csk-", LOWER, 40, "inference-docs.cerebras.ai"),
    TokenShape("jina_", URLSAFE, 50, "jina.ai"),
    TokenShape("api_org_", ALPHANUMERIC, 30, "gitleaks huggingface-organization-api-token"),
    TokenShape("(?:access|secret)-(?:sandbox|development|production)-", "[0-9a-f-]", 30, "gitleaks plaid-api-token"),
    TokenShape("SK", HEX, 32, "gitleaks twilio-api-key"),
    TokenShape("A{22}", "[A-Za-z0-9%]", 60, "gitleaks twitter-bearer-token"),
    TokenShape("cio", ALPHANUMERIC, 32, "GitHub cratesio_api_token"),
    TokenShape("sk-", ALPHANUMERIC, 20, "gitleaks openai-api-key; GitHub deepseek_api_key"),
    TokenShape("sk_", HEX, 48, "elevenlabs.io/docs"),
    TokenShape(
        "(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AROA|AIDA)",
        "[A-Z0-9]",
        12,
        "gitleaks aws-access-token; AWS IAM identifiers",
    ),
    TokenShape("ABSK", "[A-Za-z0-9+/]", 60, "gitleaks aws-amazon-bedrock-api-key-long-lived"),
    TokenShape("LTAI", ALPHANUMERIC, 12, "gitleaks alibaba-access-key-id"),
    TokenShape("AKID", ALPHANUMERIC, 28, "GitHub tencent_cloud_secret_id"),
    TokenShape("key-", HEX, 32, "gitleaks mailgun-private-api-token"),
    TokenShape("pubkey-", HEX, 32, "gitleaks mailgun-pub-key"),
    TokenShape("EAA", ALPHANUMERIC, 50, "gitleaks facebook-page-access-token"),
    TokenShape("EAAA", URLSAFE, 22, "gitleaks square-access-token"),
    TokenShape("IGQ", URLSAFE, 50, "developers.facebook.com, Instagram"),
    TokenShape("dapi", HEX, 32, "gitleaks databricks-api-token"),
    TokenShape("oy2", LOWER, 43, "GitHub nuget_api_key"),
    TokenShape("API-", "[A-Z0-9]", 26, "gitleaks octopus-deploy-api-key"),
    TokenShape("4b1d", ALPHANUMERIC, 38, "gitleaks clickhouse-cloud-api-secret-key"),
    TokenShape("A3-", "[A-Z0-9-]", 32, "gitleaks 1password-secret-key"),
    TokenShape("v1\\.0-", "[a-f0-9-]", 100, "gitleaks cloudflare-origin-ca-key"),
    TokenShape("sl\\.", URLSAFE, 100, "gitleaks dropbox-short-lived-api-token"),
    TokenShape("ZXlK", "[A-Za-z0-9+/]", 30, "gitleaks jwt-base64"),
    TokenShape("rpa_", ALPHANUMERIC, 30, "GitHub runpod_api_key"),
    TokenShape("amzn\\.mws\\.", "[0-9a-f-]", 36, "gitleaks before version 8, AWS MWS key"),
    TokenShape("1//0", URLSAFE, 30, "developers.google.com, refresh tokens"),
)

# Bounded throughout: the automaton has a state for each repetition.
FORMS = (
    Form(r"eyJ[A-Za-z0-9_-]{3}", "RFC 7519: a JSON Web Token begins with an object in Base64; gitleaks jwt"),
    # In one pattern, since each of its kind is tried at every dot.
    Form(
        r"\b(?:[MNO][A-Za-z0-9_-]{23,27}|[A-Za-z0-9]{27})\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27}",
        "GitHub discord_bot_token, also of 2022",
    ),
    Form(r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{4}", "core.telegram.org/bots/api; gitleaks telegram-bot-api-token"),
    Form(r"\b[0-9]{8,10}:A[A-Za-z0-9_-]{34}", "gitleaks telegram-bot-api-token"),
    Form(r"\bs\.[A-Za-z0-9]{24}\b", "gitleaks vault-service-token, of before 1.10"),
    Form(r"\bt1\.[A-Za-z0-9_-]{6,60}\.[A-Za-z0-9_-]{40}", "gitleaks yandex-access-token"),
    Form(r"\b[0-9]{15,16}[|][A-Za-z0-9_-]{20}", "gitleaks facebook-access-token"),
    Form(r"\b[0-9a-f]{32}-us[0-9]{1,2}\b", "gitleaks mailchimp-api-key"),
    Form(r"\b[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}\b", "gitleaks mailgun-signing-key"),
    Form(r"\b[ps]at\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9]{6}", "gitleaks harness-api-key"),
    Form(r"\bpat[A-Za-z0-9]{14}\.[0-9a-f]{16}", "GitHub airtable_personal_access_token; gitleaks of 2025"),
    Form(r"\b[A-Za-z0-9]{14}\.atlasv1\.", "gitleaks hashicorp-tf-api-token"),
    Form(r"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{6}", "gitleaks azure-ad-client-secret"),
    Form(r"\b[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk", "gitleaks maxmind-license-key"),
    Form(r"\b[0-9]{1,8}[|][A-Za-z0-9]{40}", "laravel.com/docs/sanctum"),
    Form(
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}:[0-9a-f]{32}\b", "docs.fal.ai, authentication"
    ),
    Form(r"\b[0-9a-f]{32}\.[A-Za-z0-9]{16}\b", "docs.z.ai"),
    Form(
        r"\b(?:sc|ext|scauth|authress)_[A-Za-z0-9]{5,30}\.[A-Za-z0-9]{4,6}\.acc[_-][A-Za-z0-9-]{10}",
        "gitleaks authress-service-client-access-key",
    ),
)
