/* objective: the generated table, and what rows and trainer need of it. See objective.h. */
#include "train/objective.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "data/feedback_rows.h"

bool objective_rows(size_t i, struct opt_row *out)
{
	const struct objective *o = objective_table[i];
	if (o)
		*out = (struct opt_row){ .name = o->name,
			                 .summary = o->summary,
			                 .also = o->also,
			                 .standard = o->standard,
			                 .opts = o->opts,
			                 .options_size = o->options_size };
	return o;
}

const struct objective *objective_find(const char *name)
{
	for (size_t i = 0; objective_table[i]; i++)
		if (!strcmp(objective_table[i]->name, name))
			return objective_table[i];
	return NULL;
}

static const char *const *roles_of(const struct objective *o)
{
	static const char *const none[] = { NULL };

	return o->roles ? o->roles : none;
}

static bool is_accepted(const struct shape *s, const void *ctx)
{
	const struct objective *o = ctx;

	bool roles = shape_has_roles(s, roles_of(o)) || (o->ranked && s->ranked);

	return roles && (o->labelled && !o->roles ? s->labelled : !s->label_only) &&
	       (!o->masked || s->judged == JUDGED_TEXTS);
}

bool objective_accepts(const struct objective *o, const struct shape *s)
{
	return is_accepted(s, o);
}

void objective_shapes(const struct objective *o, struct buf *out)
{
	shape_list(is_accepted, o, out);
}

bool objective_rewrites(const struct objective_run *o)
{
	return o->row->masked || (o->row->rewrites && o->row->rewrites(o->options));
}

int objective_feedback(const struct objective *o)
{
	static const char *const samples[ROWS_KINDS] = {
		[ROWS_PREFERENCE] = "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}",
		[ROWS_UNPAIRED] = "{\"prompt\": \"a\", \"completion\": \"b\", \"label\": true}",
		[ROWS_SFT] = "{\"prompt\": \"a\", \"completion\": \"b\"}",
	};

	if (o->ranked)
		return ROWS_RANKED;
	for (int kind = 0; kind < ROWS_KINDS; kind++) {
		json_t *row = samples[kind] ? json_loads(samples[kind], 0, NULL) : NULL;
		const struct shape *s = row ? shape_of(row) : NULL;
		json_decref(row);
		if (s && is_accepted(s, o))
			return kind;
	}
	return ROWS_KINDS;
}

int objective_n_roles(const struct objective *o)
{
	int n = 0;

	while (roles_of(o)[n])
		n++;
	return MAX(n, 1);
}

static double loss_of(const void *ctx, const struct batch *b, const float *x, float *dx)
{
	const struct objective_run *o = ctx;
	struct objective_sums sums = { 0 };

	o->row->loss(o, b, x, dx, &sums);
	return sums.loss;
}

uint32_t objective_loss(const struct objective_run *o, struct graph *g, uint32_t x)
{
	op_loss(g->tape, x, &(struct loss){ .of = loss_of, .ctx = o });
	tape_keep(g->tape, x);
	return x;
}

void objective_document_sums(const struct batch *b, const float *x, const float *minus, double *out)
{
	memset(out, 0, (size_t)b->n_docs * sizeof(*out));
	for (int32_t i = 0; i < b->n_labels; i++)
		out[b->label_doc[i]] += (double)x[i] - (minus ? (double)minus[i] : 0);
}

void objective_token_loss(const struct batch *b, const float *x, struct objective_sums *s)
{
	double sum = 0, weight = 0;

	for (int32_t i = 0; i < b->n_labels; i++) {
		sum -= (double)b->label_weight[i] * x[i];
		weight += (double)b->label_weight[i];
	}
	s->loss += sum;
	s->weight += weight;
}

double objective_weight(const struct objective *o, const struct batch *b)
{
	double sum = 0;

	if (o->weight)
		return o->weight(b);
	for (int32_t i = 0; i < b->n_labels; i++)
		sum += (double)b->label_weight[i];
	return sum;
}

void objective_join(const struct objective *o, struct objective_sums *to, const struct objective_sums *leaf)
{
	to->loss += leaf->loss;
	to->weight += leaf->weight;
	for (int i = 0; i < OBJECTIVE_METRICS; i++) {
		if (leaf->metric_weight[i] > 0 && o->least >> i & 1) {
			objective_least(to, i, leaf->metric[i]);
		} else if (leaf->metric_weight[i] > 0 && o->most >> i & 1) {
			objective_most(to, i, leaf->metric[i]);
		} else {
			to->metric[i] += leaf->metric[i];
			to->metric_weight[i] += leaf->metric_weight[i];
		}
	}
}

struct objective_metrics objective_mean(const struct objective *o, const struct objective_sums *s)
{
	struct objective_metrics m = { .names = o->metrics };

	for (; o->metrics && o->metrics[m.n]; m.n++)
		m.value[m.n] = s->metric_weight[m.n] > 0 ? s->metric[m.n] / s->metric_weight[m.n] : NAN;
	return m;
}
