/* mup: which weight is of which kind. See mup.h. */
#include "model/mup.h"

#include <math.h>
#include <string.h>

#include "model/init.h"
#include "model/weights.h"

enum kind { KIND_INPUT, KIND_HIDDEN, KIND_OUTPUT, KIND_LAST_NORM };

/* The last norm outside the blocks is the one before the head: tables are in the order of the forward. */
static bool is_last_norm(const struct model *m, int i)
{
	int last = -1;

	for (size_t k = 0; k < m->n_weights; k++)
		if ((m->weights[k].spec->flags & WEIGHT_NORM) && m->weights[k].layer < 0)
			last = (int)k;
	return last >= 0 && (i == last || (i == last + 1 && (m->weights[i].spec->flags & WEIGHT_BIAS) &&
	                                   m->weights[i].dim[0] == m->weights[last].dim[0]));
}

/* As many outputs at any width: experts to choose from, a gate. */
static bool is_narrow(const struct weight *w)
{
	return w->expert < 0 && (!strncmp(w->spec->shape, "E,", 2) || !strncmp(w->spec->shape, "1,", 2));
}

static enum kind kind_of(const struct model *m, int i)
{
	const struct weight *w = &m->weights[i];

	if (m->config.tied && is_last_norm(m, i))
		return KIND_LAST_NORM;
	if (w->n_dims < 2 || (w->spec->flags & WEIGHT_EMBED))
		return KIND_INPUT;
	return (w->spec->flags & WEIGHT_HEAD) || is_narrow(w) ? KIND_OUTPUT : KIND_HIDDEN;
}

static double width_of(const struct model *m) { return m->init ? m->init->width : 1; }

double mup_size(const struct model *m, int i)
{
	switch (kind_of(m, i)) {
	case KIND_HIDDEN:
		return 1 / sqrt(width_of(m));
	case KIND_OUTPUT:
	case KIND_LAST_NORM:
		return 1 / width_of(m);
	case KIND_INPUT:
		break;
	}
	return 1;
}

double mup_rate(const struct model *m, int i)
{
	return kind_of(m, i) == KIND_INPUT ? 1 : 1 / width_of(m);
}

/* The group that is `of` with a rate times `rate`; made where there is none yet. */
static int group_of(struct params *p, int of, double rate)
{
	struct param_group want = params_group(p, of);

	want.rate *= rate;
	for (int g = 1; g <= p->n_groups; g++) {
		struct param_group has = params_group(p, g);
		if (!memcmp(&has, &want, sizeof(has)))
			return g;
	}
	return params_add_group(p, &want);
}

void mup_groups(struct params *p, const struct model *m)
{
	for (size_t i = 0; i < p->n_items && width_of(m) != 1; i++) {
		struct param *x = &p->items[i];
		double rate = x->weight >= 0 ? mup_rate(m, x->weight) : 1;
		if (rate != 1)
			x->group = group_of(p, x->group, rate);
	}
}
