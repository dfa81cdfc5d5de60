/* fuzz: a space of any bytes is read or refused with a sentence; of what is read every parameter has a place, and every
 * place is a value that its option takes. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "search/propose.h"
#include "search/space.h"

struct target {
	bool flag;
	int64_t n;
	double x;
	const char *text, *choice;
};

static const struct opt table[] = {
	OPT_FLAG("flag", struct target, flag, "true", "a flag"),
	OPT_INT("lora-r", struct target, n, "8", 1, 4096, "a number"),
	OPT_FLOAT("learning-rate", struct target, x, "1e-4", 0, 1, "a number"),
	OPT_STRING("text", struct target, text, NULL, "TEXT", "a text"),
	OPT_CHOICE("method", struct target, choice, "lora", "lora|full", "one of two"),
	OPT_END
};

static void try_places(const struct space *s, struct opt_parse *p)
{
	struct proposer from = { .by = PROPOSE_RANDOM, .seed = 1, .space = s };
	struct err e = ERR_INIT;
	char text[32];

	for (size_t i = 0; i < s->n; i++) {
		const struct space_param *param = &s->param[i];
		if (!space_is_active(s, i, p))
			continue;
		struct space_place at = propose(&from, i, 0, 0);
		if (!param->scaled && opt_assign(p, param->name, space_text(param, &at, 1, text), &e) < 0)
			BUG("%s has a place that it does not take: %s", param->name, e.msg);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const fixed[] = { NULL };
	struct target target;
	struct opt_parse p;
	struct space s;
	struct err e = ERR_INIT;

	opt_begin(&p, table, &target, &e);
	int status = space_read(&s, (const char *)data, n, "input", &p, fixed, &e);
	if (status < 0 && !e.msg[0])
		BUG("refused without a word");
	if (status == 0)
		try_places(&s, &p);
	space_release(&s);
	opt_release(&p);
	return 0;
}
