/* priors: a flat mapping RUNG_FIELD: number, a row of options for each field of each rung of the table (base/opt.h), so
 * a rung that is added has its names at once, and what it does not say is at the defaults below. */
#include "ladder/priors.h"

#include <string.h>

#include "base/mem.h"
#include "ladder/ladder.h"

extern const char priors_builtin[]; /* generated from share/priors.yaml */

#define FIELD(name_, member, init_, lo, hi) \
	{ \
		name_, offsetof(struct rung_prior, member), init_, lo, hi \
	}
static const struct {
	const char *name;
	size_t offset;
	const char *init;
	double least, most;
} fields[] = {
	FIELD("reach", reach, "0.5", 0, 1),
	FIELD("reach-choices", reach_choices, "0.2", 0, 1),
	FIELD("reach-free", reach_free, "0.2", 0, 1),
	FIELD("sd", sd, "0.2", 1e-6, 1),
	FIELD("half", half, "0", 0, 1e9),
	FIELD("nats", nats, "0", -10, 10),
	FIELD("nats-sd", nats_sd, "0.3", 1e-6, 10),
	FIELD("seed-sd", seed_sd, "0.02", 1e-6, 1),
	FIELD("near-gain", near_gain, "0", -1, 1),
	FIELD("near-sd", near_sd, "0.1", 1e-6, 1),
	FIELD("size-gain", size_gain, "0.03", -1, 1),
	FIELD("twin-sd", twin_sd, "0.1", 1e-6, 1),
	FIELD("rate", rate, NULL, 0, 1e3),
	FIELD("epochs", epochs, "2", 1e-3, 1e4),
	FIELD("rank", rank, NULL, 1, 1 << 16),
	FIELD("least-steps", least_steps, "120", 0, 1e9),
};
enum { FIELDS = ARRAY_LEN(fields) };

static struct opt *make_options(struct priors *p)
{
	struct opt *o = arena_array(&p->mem, p->n * FIELDS + 1, sizeof(*o));

	for (size_t i = 0; i < p->n; i++)
		for (size_t k = 0; k < FIELDS; k++)
			o[i * FIELDS + k] = (struct opt){
				.type = OPT_TYPE_FLOAT,
				.name = arena_printf(&p->mem, "%s-%s", rung_table[i]->name, fields[k].name),
				.offset = i * sizeof(struct rung_prior) + fields[k].offset,
				.init = fields[k].init,
				.min = fields[k].least,
				.max = fields[k].most,
				.arg = "X",
				.help = "",
			};
	return o;
}

int priors_load(struct priors *p, const char *file, struct err *e)
{
	*p = (struct priors){ .n = 0 };
	while (rung_table[p->n])
		p->n++;
	p->rung = arena_array(&p->mem, p->n, sizeof(*p->rung));
	p->opts = make_options(p);
	int status = opt_begin(&p->parse, p->opts, p->rung, e);
	if (status == 0 && file)
		status = opt_yaml(&p->parse, file, e);
	if (status == 0)
		status =
			opt_yaml_text(&p->parse, priors_builtin, strlen(priors_builtin), "the built-in priors.yaml", e);
	if (status)
		priors_release(p);
	return status;
}

void priors_release(struct priors *p)
{
	opt_release(&p->parse);
	arena_release(&p->mem);
	*p = (struct priors){ .n = 0 };
}

const struct rung_prior *priors_of(const struct priors *p, const char *rung)
{
	for (size_t i = 0; i < p->n; i++)
		if (!strcmp(rung_table[i]->name, rung))
			return &p->rung[i];
	BUG("no rung '%s'", rung);
}
