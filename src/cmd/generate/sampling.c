/* sampling: the command line's words into a sampler: its steps, its seed and order, biases by token. */
#include "cmd/generate/sampling.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "infer/generate_known.h"

/* "15=-2.5" */
static int parse_bias(const char *text, size_t V, struct logit_bias *b, struct err *e)
{
	char *end;

	errno = 0;
	long id = strtol(text, &end, 10);
	if (end == text || *end != '=' || errno)
		return err_set(e, "--logit-bias %s: ID=V was wanted, a token's number and what is added to its logit",
		               text);
	if (id < 0 || (size_t)id >= V)
		return err_set(e, "--logit-bias %s: the model has tokens 0 to %zu", text, V - 1);
	const char *value = end + 1;
	b->id = (int32_t)id;
	b->bias = strtof(value, &end);
	if (end == value || *end || isnan(b->bias) || b->bias == INFINITY)
		return err_set(e, "--logit-bias %s: %s is no number", text, *value ? value : "nothing");
	return 0;
}

static bool is_given(const void *p, const char *option) { return opt_given(p, option); }

/* What is given for draws is named where there are none. */
static void tell_undrawn(int64_t answers, const struct opt_parse *p)
{
	struct buf given = BUF_INIT;

	for (const struct sampler_step *const *s = sampler_step_table; *s; s++)
		for (const struct opt *x = (*s)->opts; !(*s)->logits && !(*s)->greedy && x->type != OPT_TYPE_END; x++)
			if (opt_given(p, x->name))
				buf_addf(&given, "%s--%s", given.len ? ", " : "", x->name);
	if (given.len)
		log_warn("nothing is drawn at --temperature 0, the default: %s %s nothing", buf_str(&given),
		         strchr(buf_str(&given), ',') ? "do" : "does");
	if (answers > 1)
		log_warn("nothing is drawn at --temperature 0: all %lld answers are the same", (long long)answers);
	buf_release(&given);
}

int sampling_tell(const struct sampling *o, int64_t answers, const struct model *m, const struct opt_parse *p,
                  struct err *e)
{
	if (sampler_is_greedy(o->steps))
		tell_undrawn(answers, p);
	return generate_tell(m, &(struct generate_given){ is_given, p }, e);
}

int sampling_begin(const struct sampling *o, size_t V, struct sampler *s, struct err *e)
{
	*s = (struct sampler){ 0 };
	for (size_t i = 0; i < o->stop.n; i++)
		if (!*(const char *)o->stop.items[i])
			return err_set(e, "--stop: an empty text, which would end nothing");
	struct logit_bias *bias = mem_array(o->logit_bias.n, sizeof(*bias));

	*s = (struct sampler){ .steps = o->steps,
		               .seed = (uint64_t)o->seed,
		               .bias = bias,
		               .n_bias = o->logit_bias.n,
		               .llama_order = !strcmp(o->order, "llama.cpp") };
	for (size_t i = 0; i < o->logit_bias.n; i++)
		if (parse_bias(o->logit_bias.items[i], V, &bias[i], e) < 0) {
			mem_free(bias);
			s->bias = NULL;
			return -1;
		}
	sampler_init(s, V);
	return 0;
}

void sampling_release(struct sampler *s)
{
	mem_free((void *)(uintptr_t)s->bias);
	s->bias = NULL;
	sampler_release(s);
}
