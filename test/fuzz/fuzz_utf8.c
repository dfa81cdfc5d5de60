/* fuzz: repaired text is valid, valid text stays as it is, and every cut by utf8_complete falls between characters. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *s = (const char *)data;
	struct buf fixed = BUF_INIT;
	size_t bad = n + 1, ready = utf8_complete(s, n);
	utf8_repair(&fixed, s, n);
	if (!utf8_valid(buf_str(&fixed), fixed.len, NULL))
		BUG("the repaired text is not valid");
	if (utf8_valid(s, n, &bad) ? fixed.len != n || (n && memcmp(fixed.data, s, n) != 0) : bad >= n)
		BUG("valid text was changed, or the wrong byte is outside");
	if (ready > n || n - ready > 3 || utf8_count(s, n) > n)
		BUG("a cut at %zu of %zu", ready, n);
	buf_release(&fixed);
	return 0;
}
