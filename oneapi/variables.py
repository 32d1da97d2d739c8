"""Every environment variable, as data: what it means, and which of One API's are not used here and why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variable:
    """``kind`` says how the value is written; ``default`` as an operator would write it, "" for none."""

    name: str
    kind: str
    default: str
    english: str
    chinese: str
    secret: bool = False


VARIABLES = (
    Variable("PORT", "integer", "3000", "Port to listen on; beats --port.", "监听端口，优先于 --port。"),
    Variable(
        "LISTEN_ADDRESS",
        "IP address",
        "",
        "Address to listen on; empty: all interfaces.",
        "监听地址，留空表示所有网卡。",
    ),
    Variable(
        "SESSION_SECRET",
        "text",
        "",
        "Key that signs login cookies; empty: one is made and kept beside the database.",
        "登录 Cookie 的签名密钥；留空则自动生成，并保存在数据库旁。",
        secret=True,
    ),
    Variable(
        "SQLITE_PATH",
        "path",
        "one-api.db",
        "Database file. Default: in the working directory if it exists there, else beside the executable.",
        "数据库文件。默认：工作目录下已有则用之，否则放在可执行文件旁。",
    ),
    Variable(
        "SQLITE_BUSY_TIMEOUT",
        "milliseconds",
        "3000",
        "How long to wait when another program locks the database.",
        "数据库被其他程序锁定时的等待时间。",
    ),
    Variable(
        "RELAY_TIMEOUT",
        "seconds",
        "0",
        "Limit of a whole upstream call, reading the stream included; 0: none.",
        "单次上游调用（含读取流）的总时限；0 表示不限。",
    ),
    Variable(
        "RELAY_PROXY",
        "http:// or socks5:// URL",
        "",
        "Proxy for all upstream calls.",
        "所有上游请求使用的代理。",
        secret=True,
    ),
    Variable(
        "HTTP_PROXY",
        "http:// or socks5:// URL",
        "",
        "Proxy for http:// upstreams without RELAY_PROXY.",
        "未设置 RELAY_PROXY 时，访问 http:// 上游使用的代理。",
        secret=True,
    ),
    Variable(
        "HTTPS_PROXY",
        "http:// or socks5:// URL",
        "",
        "Proxy for https:// upstreams without RELAY_PROXY.",
        "未设置 RELAY_PROXY 时，访问 https:// 上游使用的代理。",
        secret=True,
    ),
    Variable(
        "NO_PROXY",
        "names, addresses, networks, with commas",
        "",
        "Hosts that HTTP_PROXY and HTTPS_PROXY do not apply to.",
        "不经过 HTTP_PROXY、HTTPS_PROXY 的主机，用逗号分隔。",
    ),
    Variable(
        "USER_CONTENT_REQUEST_PROXY",
        "http:// or socks5:// URL",
        "",
        "Proxy for fetching images that users name by URL.",
        "下载用户给出的图片 URL 时使用的代理。",
        secret=True,
    ),
    Variable(
        "USER_CONTENT_REQUEST_TIMEOUT",
        "seconds",
        "30",
        "Limit for fetching such an image.",
        "下载此类图片的时限。",
    ),
    Variable(
        "ALLOW_PRIVATE_URLS",
        "true or false",
        "false",
        "Whether such a URL may lie in a private network.",
        "是否允许此类 URL 指向内网地址。",
    ),
    Variable(
        "ENFORCE_INCLUDE_USAGE",
        "true or false",
        "false",
        "Ask every OpenAI-compatible upstream for usage in streams, also those not known to support it.",
        "流式请求时要求所有 OpenAI 兼容上游返回用量，包括未知是否支持的上游。",
    ),
    Variable(
        "TEST_PROMPT",
        "text",
        "Output only your specific model name with no additional text.",
        "What a channel test says to the model.",
        "测试渠道时发给模型的内容。",
    ),
    Variable(
        "GEMINI_SAFETY_SETTING",
        "text",
        "BLOCK_NONE",
        "Threshold of all Gemini safety categories.",
        "Gemini 各安全类别的阈值。",
    ),
    Variable("GEMINI_VERSION", "text", "v1", "Default version of the Gemini API.", "Gemini API 的默认版本。"),
    Variable("THEME", "default, berry or air", "default", "Theme of the page.", "网页主题。"),
    Variable(
        "GLOBAL_API_RATE_LIMIT",
        "integer",
        "480",
        "API requests per address in 180 seconds; 0: no limit.",
        "单个地址 180 秒内的 API 请求上限；0 表示不限。",
    ),
    Variable(
        "GLOBAL_WEB_RATE_LIMIT",
        "integer",
        "240",
        "Page requests per address in 180 seconds; 0: no limit.",
        "单个地址 180 秒内的网页请求上限；0 表示不限。",
    ),
    Variable(
        "INITIAL_ROOT_TOKEN",
        "text without a dash",
        "",
        "First start only: key of a token for root; a leading sk- is left out.",
        "仅首次启动：为 root 创建的令牌的密钥，开头的 sk- 会被去掉。",
        secret=True,
    ),
    Variable(
        "INITIAL_ROOT_ACCESS_TOKEN",
        "text",
        "",
        "First start only: system access token of root.",
        "仅首次启动：root 的系统访问令牌。",
        secret=True,
    ),
    Variable(
        "MAX_REQUEST_BODY_MB",
        "MiB",
        "64",
        "Largest request body; a larger one is answered with 413.",
        "请求体大小上限，超出返回 413。",
    ),
    Variable(
        "TRUSTED_PROXIES",
        "networks, with commas, or none",
        "loopback and private networks",
        "Peers whose X-Forwarded-For and X-Forwarded-Proto are believed.",
        "信任其 X-Forwarded-For 与 X-Forwarded-Proto 的来源网段。",
    ),
    Variable(
        "ONLY_ONE_LOG_FILE",
        "true or false",
        "false",
        "Log to oneapi.log instead of one file per day.",
        "日志写入单个文件 oneapi.log，而不是每天一个文件。",
    ),
    Variable(
        "DEBUG",
        "true or false",
        "false",
        "More log lines, and no rate limits.",
        "输出更多日志，并关闭速率限制。",
    ),
    Variable(
        "EVENT_LOOP",
        "auto, uvloop or asyncio",
        "auto",
        "Event loop; auto: uvloop where it exists.",
        "事件循环；auto 表示有 uvloop 则使用。",
    ),
    Variable("TZ", "time zone", "", "Local time of log lines and request ids.", "日志与请求 ID 使用的时区。"),
)

_OTHER_DATABASE = (
    "this program keeps its data in SQLite (SQLITE_PATH); it would silently start with an empty database"
)
REFUSED = {"SQL_DSN": _OTHER_DATABASE, "LOG_SQL_DSN": _OTHER_DATABASE}
"""One API's variables that forbid to start, with the reason."""

_ONE_DATABASE = "there is one SQLite database and no pool of connections"
_NO_REDIS = "all state is in this process; nothing is kept in Redis"
_ONE_PROCESS = "there is one process and no slave"
_IN_MEMORY = "everything is always in memory and current"
_ALWAYS_BATCHED = "quota writes are always batched, and never lost on exit"
_LATER = "this version has no such job"
NOT_HONOURED = {
    "SQL_MAX_IDLE_CONNS": _ONE_DATABASE,
    "SQL_MAX_OPEN_CONNS": _ONE_DATABASE,
    "SQL_MAX_LIFETIME": _ONE_DATABASE,
    "SQL_CONN_MAX_LIFETIME": _ONE_DATABASE,
    "REDIS_CONN_STRING": _NO_REDIS,
    "REDIS_PASSWORD": _NO_REDIS,
    "REDIS_MASTER_NAME": _NO_REDIS,
    "SYNC_FREQUENCY": _IN_MEMORY,
    "MEMORY_CACHE_ENABLED": _IN_MEMORY,
    "NODE_TYPE": _ONE_PROCESS,
    "FRONTEND_BASE_URL": _ONE_PROCESS,
    "BATCH_UPDATE_ENABLED": _ALWAYS_BATCHED,
    "BATCH_UPDATE_INTERVAL": _ALWAYS_BATCHED,
    "POLLING_INTERVAL": _LATER,
    "CHANNEL_TEST_FREQUENCY": _LATER,
    "CHANNEL_UPDATE_FREQUENCY": _LATER,
    "ENABLE_METRIC": "this version does not disable channels by success rate",
    "METRIC_QUEUE_SIZE": "this version does not disable channels by success rate",
    "METRIC_SUCCESS_RATE_THRESHOLD": "this version does not disable channels by success rate",
    "METRIC_SUCCESS_CHAN_SIZE": "this version does not disable channels by success rate",
    "METRIC_FAIL_CHAN_SIZE": "this version does not disable channels by success rate",
    "DEBUG_SQL": "SQL statements are not logged",
    "GIN_MODE": "it belongs to a Go library",
    "TIKTOKEN_CACHE_DIR": "the vocabularies are part of the program",
    "DATA_GYM_CACHE_DIR": "the vocabularies are part of the program",
}
"""One API's variables that have no effect here, with the reason that the start warning gives."""
