/* fuzz: any bytes are JSON or are refused; what was read is printed, read again, and equal. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/jsonx.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e = ERR_INIT;
	json_t *j = jsonx_load((const char *)data, n, "input", &e);
	if (!j) {
		if (!e.msg[0])
			BUG("refused without a sentence");
		return 0;
	}
	char *line = jsonx_line(j);
	json_t *again = jsonx_load(line, strlen(line), "its own line", &e);
	if (strchr(line, '\n'))
		BUG("more than one line: %s", line);
	if (!again || !json_equal(j, again))
		BUG("%s became %s", line, again ? "something else" : e.msg);
	mem_free(line);
	json_decref(j);
	json_decref(again);
	return 0;
}
