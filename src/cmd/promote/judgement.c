/* judgement: bounds of eval/bound.h against what was wanted. Nothing holds that cannot be said: too few rows fail. */
#include "cmd/promote/judgement.h"

#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "eval/bound.h"

/* A score as it is told: of a perplexity exp of the mean. */
static double told(const struct evidence *v, double x) { return v->perplexity ? exp(x) : x; }

static int check_pairs(const struct evidence *now, const struct evidence *parent, struct err *e)
{
	if (!json_equal(now->ids, parent->ids))
		return err_set(e, "the rows of %s and %s are not the same: they cannot be paired", now->file,
		               parent->file);
	for (size_t i = 0; i < now->n; i++)
		if (now->weight && now->weight[i] != parent->weight[i])
			return err_set(e, "the two models have other tokens: perplexities of tokens cannot be paired");
	return 0;
}

static void set_own(struct check *c, const struct evidence *v, double confidence)
{
	const struct bound_samples s = { .x = v->value, .weight = v->weight, .cluster = v->cluster, .n = v->n };
	struct bound b = bound_of(&s, confidence);

	c->now = told(v, b.value);
	c->bound = told(v, c->at_least ? b.low : b.high);
	c->units = b.units;
	c->method = b.method;
}

static void set_pair(struct check *c, const struct evidence *now, const struct evidence *parent, double confidence)
{
	const struct bound_samples s = { now->value, parent->value, now->weight, now->cluster, now->n },
				   was = { .x = parent->value, .weight = parent->weight, .n = parent->n };
	struct bound b = bound_of(&s, confidence);

	set_own(c, now, confidence);
	c->parent = told(parent, bound_of(&was, confidence).value);
	c->difference = now->perplexity ? expm1(b.value) : b.value;
	c->bound = c->at_least ? b.low : b.high;
	c->bound = now->perplexity ? expm1(c->bound) : c->bound;
	c->units = b.units;
	c->method = b.method;
}

static void decide(struct check *c)
{
	c->holds = c->at_least ? c->bound >= c->wanted : c->bound <= c->wanted; /* NAN holds nothing */
}

static struct check begin(const struct requirement *r, const struct evidence *now, const char *kind, double wanted,
                          bool at_least)
{
	return (struct check){ .r = r, .kind = kind, .parent = NAN, .difference = NAN, .wanted = wanted,
		               .at_least = at_least, .n = now->n };
}

int judge(const struct requirement *r, const struct evidence *now, const struct evidence *parent, struct check *out,
          struct err *e)
{
	bool more = now->higher_is_better;
	int n = 0;

	if (more ? !isnan(r->maximum) : !isnan(r->minimum))
		return err_set(e, more ? "%s: of %s more is better: a minimum was wanted, not a maximum" :
		                         "%s: of %s less is better: a maximum was wanted, not a minimum", r->label,
		               r->metric);
	if (r->not_worse_than) {
		if (check_pairs(now, parent, e) < 0)
			return err_prefix(e, "%s", r->label);
		out[n] = begin(r, now, "not_worse_than", more ? -r->margin : r->margin, more);
		set_pair(&out[n], now, parent, r->confidence);
		decide(&out[n++]);
	}
	double own = more ? r->minimum : r->maximum;
	if (!isnan(own)) {
		out[n] = begin(r, now, more ? "minimum" : "maximum", own, more);
		set_own(&out[n], now, r->confidence);
		decide(&out[n++]);
	}
	return n;
}

static json_t *number(double x) { return jsonx_number(round(x * 1e6) / 1e6); }

json_t *check_json(const struct check *c)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:b}", "name", c->r->label,
	                 "metric", c->r->metric, "wanted", c->kind, "n", (json_int_t)c->n, "units",
	                 (json_int_t)c->units, "score", number(c->now), "parent", number(c->parent), "difference",
	                 number(c->difference), c->at_least ? "bound_low" : "bound_high", number(c->bound), "limit",
	                 number(c->wanted), "confidence", number(c->r->confidence), "method", c->method, "holds",
	                 c->holds);
}
