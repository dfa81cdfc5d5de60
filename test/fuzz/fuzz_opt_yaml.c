/* fuzz: a recipe file of any bytes is read or refused with a sentence; what is read can be recorded and read back. */
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"

struct target {
	bool flag;
	int64_t n;
	double x;
	const char *text, *choice;
	size_t size;
	struct opt_list list;
};

static const struct opt table[] = {
	OPT_FLAG("flag", struct target, flag, "true", "a flag"),
	OPT_INT("lora-r", struct target, n, "8", 1, 4096, "a number"),
	OPT_FLOAT("learning-rate", struct target, x, "1e-4", 0, 1, "a number"),
	OPT_STRING("text", struct target, text, NULL, "TEXT", "a text"),
	OPT_CHOICE("method", struct target, choice, "lora", "lora|full", "one of two"),
	OPT_BYTES("memory", struct target, size, NULL, "a size"),
	OPT_LIST("data", struct target, list, "FILE", "texts"),
	OPT_END
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct target target, again;
	struct opt_parse p, q;
	struct err e = ERR_INIT;
	opt_begin(&p, table, &target, &e);
	if (opt_yaml_text(&p, (const char *)data, n, "input", &e) == 0) {
		json_t *record = opt_record(&p), *second;
		opt_begin(&q, table, &again, &e);
		if (opt_json(&q, record, &e))
			BUG("its own record was refused: %s", e.msg);
		second = opt_record(&q);
		if (!json_equal(record, second))
			BUG("the record changed");
		json_decref(record);
		json_decref(second);
		opt_release(&q);
	} else if (!e.msg[0]) {
		BUG("refused without a sentence");
	}
	opt_release(&p);
	return 0;
}
