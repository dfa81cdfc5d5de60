/* fuzz: any bytes are JSON or are refused; what was read is printed, read again, and equal. What is read without
 * Jansson is what Jansson reads. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/json_read.h"
#include "base/jsonx.h"
#include "base/mem.h"

static void quick(const char *text, size_t n, bool nul)
{
	json_t *j = json_read(text, n, nul), *same;

	if (!j)
		return;
	same = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | (nul ? JSON_ALLOW_NUL : 0), NULL);
	char *line = jsonx_line(j), *other = same ? jsonx_line(same) : mem_strdup("nothing");
	if (strcmp(line, other) != 0)
		BUG("%s, %s by Jansson", line, other);
	mem_free(line);
	mem_free(other);
	json_decref(j);
	json_decref(same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	quick((const char *)data, n, n % 2);
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
