/* fuzz: any body is a form or is refused with a sentence; parts lie in the body, one after the other, and have names.
 * What stands before the first zero is the request's Content-Type. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "serve/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t head = n ? strnlen((const char *)data, n) : 0, from = head < n ? head + 1 : n;
	char *type = mem_printf("multipart/form-data; %.*s", (int)head, (const char *)data);
	const char *body = (const char *)data + from, *at = body;
	struct multipart f;
	struct err e = ERR_INIT;
	int status = multipart_read(&f, type, body, n - from, &e);

	if ((status < 0) != (e.msg[0] != 0))
		BUG("status %d: \"%s\"", status, e.msg);
	for (size_t i = 0; status == 0 && i < f.n; i++) {
		if (!f.part[i].name || f.part[i].data < at || f.part[i].data + f.part[i].n > (const char *)data + n)
			BUG("part %zu of %zu lies elsewhere", i, f.n);
		if (multipart_find(&f, f.part[i].name) > &f.part[i])
			BUG("part %zu is not found by its name", i);
		at = f.part[i].data + f.part[i].n;
	}
	multipart_release(&f);
	mem_free(type);
	return 0;
}
