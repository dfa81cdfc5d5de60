/* page: hashes of what stands in a page. See page.h. */
#include "serve/page.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/sha.h"

/* 'sha256-…' of what stands between two words of the page. */
static void add_source(const char *page, struct buf *policy, const char *open, const char *close)
{
	const char *from = strstr(page, open), *to = from ? strstr(from, close) : NULL;
	uint8_t bytes[32];
	char hex[65];

	if (!to)
		BUG("the page has no %s", open);
	from += strlen(open);
	sha_256(from, (size_t)(to - from), hex);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		char pair[3] = { hex[2 * i], hex[2 * i + 1] };
		bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	buf_adds(policy, "'sha256-");
	base64_write(policy, bytes, sizeof(bytes));
	buf_adds(policy, "'; ");
}

void page_policy(const char *page, struct buf *policy)
{
	buf_adds(policy, "default-src 'none'; script-src ");
	add_source(page, policy, "<script>", "</script>");
	buf_adds(policy, "style-src ");
	add_source(page, policy, "<style>", "</style>");
	buf_adds(policy, "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
	                 "frame-ancestors 'none'; require-trusted-types-for 'script'");
}
