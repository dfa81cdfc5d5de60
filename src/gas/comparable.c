/* comparable: searches over the uses of each method for one that the others have too. Ledgers are walked newest first;
 * methods are few. See comparable.h. */
#include "gas/comparable.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "gas/ledger_view.h"
#include "gas/summary.h"

static const char *input(const struct entry *x, const char *role)
{
	for (size_t i = 0; i < x->n_uses; i++)
		if (!x->uses[i].out && !strcmp(x->uses[i].role, role))
			return x->uses[i].artefact.hash;
	return NULL;
}

static bool same_text(const char *a, const char *b) { return a && b ? !strcmp(a, b) : a == b; }

static bool loosely(const struct entry *a, const struct entry *b)
{
	return !strcmp(a->command, b->command) && evidence_rows(a) == evidence_rows(b);
}

bool comparable(const struct entry *a, const struct entry *b)
{
	bool one_model = same_text(input(a, "model"), input(b, "model"));

	return loosely(a, b) && same_text(input(a, "data"), input(b, "data")) && evidence_same_length(a, b, one_model);
}

/* --- choosing --- */

static bool serves(const struct evidence *v, const struct family *f, const struct entry *x, const struct entry *like,
                   const char *compute)
{
	if (v->named)
		return x == &f->entries->items[v->runs[v->n_runs - 1]] && loosely(x, like);
	return evidence_is_use(x) && evidence_thing(f, x) == v->thing &&
	       (!compute || !strcmp(evidence_compute(x), compute)) && comparable(x, like);
}

/* The newest that is comparable, in the same way where there is one; −1: none. */
static int64_t find_like(const struct evidence *v, const struct family *f, const struct entry *like,
                         const char *compute)
{
	int64_t found = -1;

	for (size_t i = f->entries->n; i-- > 0;) {
		const struct entry *x = &f->entries->items[i];
		if (!serves(v, f, x, like, compute))
			continue;
		if (evidence_same_way(x, like))
			return (int64_t)i;
		found = found < 0 ? (int64_t)i : found;
	}
	return found;
}

static bool choose_like(struct evidence **v, size_t n, struct family *f, const struct entry *like, const char *compute,
                        bool *differs)
{
	for (size_t i = 0; i < n; i++)
		if (find_like(v[i], f, like, compute) < 0)
			return false;
	*differs = false;
	for (size_t i = 0; i < n; i++) {
		int64_t run = find_like(v[i], f, like, compute);
		*differs |= !evidence_same_way(&f->entries->items[run], like);
		evidence_take(v[i], f, run);
	}
	return true;
}

static bool is_of_one(struct evidence **v, size_t n, const struct family *f, const struct entry *x, const char *compute)
{
	for (size_t i = 0; i < n; i++)
		if (serves(v[i], f, x, x, compute))
			return true;
	return false;
}

/* --- what is missing --- */

static const struct artefact *artefact_of(const struct family *f, const char *hash)
{
	int at = hash ? family_find(f, hash) : -1;
	return at >= 0 ? &f->members[at].artefact : NULL;
}

static const char *place(const struct artefact *a, const char *unknown)
{
	return a && a->path ? a->path : a && a->name ? a->name : unknown;
}

void comparable_command(const struct family *f, int thing, const char *rows, const char *compute, char out[400])
{
	const struct family_member *m = &f->members[thing];
	const struct entry *maker = m->maker >= 0 ? &f->entries->items[family_began(f, m->maker)] : NULL;
	bool adapter = !strcmp(m->artefact.kind, "adapter");
	const char *model = place(adapter ? artefact_of(f, maker ? input(maker, "model") : NULL) : &m->artefact,
	                          "MODEL");

	snprintf(out, 400, "kungfu eval %s%s%s --data %s%s%s", model, adapter ? " --adapter " : "",
	         adapter ? place(&m->artefact, "DIR") : "", place(artefact_of(f, rows), "FILE"),
	         compute ? " --compute " : "", compute ? compute : "");
}

static void describe(const struct evidence *v, const struct family *f, char out[200])
{
	if (v->n_runs == 0) {
		snprintf(out, 200, "not used yet");
		return;
	}
	const struct entry *x = &f->entries->items[v->runs[v->n_runs - 1]];
	const struct artefact *data = artefact_of(f, input(x, "data"));
	int n = sentence_format(out, 200, "%s of %lld rows%s%.60s", x->command, (long long)evidence_rows(x),
	                        data ? " of " : "", data ? place(data, "") : "");
	if (x->gas.tokens_in >= 0)
		n += sentence_format(out + n, 200 - (size_t)n, ", %lld tokens read", (long long)x->gas.tokens_in);
	if (x->gas.tokens_out > 0)
		snprintf(out + n, 200 - (size_t)n, ", %lld written", (long long)x->gas.tokens_out);
}

/* Rows that one of them was evaluated on, in an evaluation or in tune's own; NULL: none. */
static const char *known_rows(struct evidence **v, size_t n, const struct family *f)
{
	const struct evidence *all[64] = { 0 };

	for (size_t i = 0; i < n; i++)
		all[i] = v[i];
	return comparable_rows(all, n, f);
}

static bool has_eval(const struct evidence *v, const struct family *f, const char *rows, const char *compute)
{
	for (size_t i = 0; rows && i < f->entries->n; i++) {
		const struct entry *x = &f->entries->items[i];
		if (!strcmp(x->command, "eval") && serves(v, f, x, x, compute) && same_text(input(x, "data"), rows))
			return true;
	}
	return false;
}

static int refuse(struct evidence **v, const char *const *names, size_t n, const struct family *f, const char *compute,
                  struct err *e)
{
	const char *rows = known_rows(v, n, f);
	struct buf text = BUF_INIT;
	char one[400];
	size_t said = 0;

	for (size_t i = 0; i < n; i++) {
		describe(v[i], f, one);
		buf_addf(&text, "%s%s: %s", i ? "; " : "", names[i], one);
	}
	buf_adds(&text, ". Uses are compared where command, data and length are the same; this makes them: ");
	for (size_t i = 0; i < n; i++) {
		if (has_eval(v[i], f, rows, compute))
			continue;
		comparable_command(f, v[i]->thing, rows, compute, one);
		buf_addf(&text, "%s%s", said++ ? " && " : "", one);
	}
	err_set(e, "these were not used for the same work: %s", buf_str(&text));
	buf_release(&text);
	return -1;
}

static int check_used(struct evidence **v, const char *const *names, size_t n, const struct family *f,
                      const char *compute, struct err *e)
{
	char command[400];

	for (size_t i = 0; i < n; i++) {
		if (v[i]->n_runs)
			continue;
		comparable_command(f, v[i]->thing, known_rows(v, n, f), compute, command);
		return err_set(e,
		               "%s: no eval or generate of the ledger used it%s%s, so nothing says what a use costs; "
		               "%s measures it",
		               names[i], compute ? " in " : "", compute ? compute : "", command);
	}
	return 0;
}

/* Uses that were tried as what the others are to be like: one that is comparable with them cannot do better, so a
 * ledger of very many uses is walked once for each kind of work in it. */
struct tried { const struct entry **items; size_t n; };

static bool tries(struct tried *t, const struct entry *x)
{
	for (size_t i = 0; i < t->n; i++)
		if (comparable(x, t->items[i]) && evidence_same_way(x, t->items[i]))
			return false;
	if ((t->n & (t->n - 1)) == 0) /* full at 0, 1, 2, 4, 8 … */
		t->items = mem_grow(t->items, MAX(2 * t->n, (size_t)1), sizeof(*t->items));
	t->items[t->n++] = x;
	return true;
}

/* The newest evaluation, else the newest answer, that every method has one like. */
static bool choose_any(struct evidence **v, size_t n, struct family *f, const char *compute, bool *differs)
{
	static const char *const commands[] = { "eval", "generate" };
	struct tried t = { 0 };
	bool found = false;

	for (size_t c = 0; c < ARRAY_LEN(commands) && !found; c++)
		for (size_t i = f->entries->n; i-- > 0 && !found;) {
			const struct entry *x = &f->entries->items[i];
			found = !strcmp(x->command, commands[c]) && is_of_one(v, n, f, x, compute) && tries(&t, x) &&
			        choose_like(v, n, f, x, compute, differs);
		}
	mem_free(t.items);
	return found;
}

int comparable_choose(struct evidence **v, const char *const *names, size_t n, struct family *f, const char *compute,
                      bool *differs, struct err *e)
{
	*differs = false;
	if (check_used(v, names, n, f, compute, e) < 0)
		return -1;
	return choose_any(v, n, f, compute, differs) ? 0 : refuse(v, names, n, f, compute, e);
}

/* --- quality --- */

static bool takes(const struct entry *x, const struct family *f, int thing)
{
	for (size_t i = 0; i < x->n_uses; i++)
		if (!x->uses[i].out && !strcmp(x->uses[i].artefact.hash, f->members[thing].artefact.hash))
			return true;
	return false;
}

/* Is `made` only `thing` in another form: merged into its model, or converted? */
static bool is_form(const struct family *f, int made, int thing)
{
	const struct family_member *m = &f->members[made];
	const struct entry *maker = m->maker >= 0 ? &f->entries->items[m->maker] : NULL;

	return maker && (!strcmp(maker->command, "merge") || !strcmp(maker->command, "convert")) &&
	       takes(maker, f, thing) && evidence_thing(f, maker) == thing;
}

static bool is_same_thing(const struct family *f, int a, int b)
{
	return a == b || (a >= 0 && b >= 0 && (is_form(f, a, b) || is_form(f, b, a)));
}

/* The rows that a run's quality is of; NULL: it told none. */
static const char *judged_on(const struct family *f, const struct entry *x, int thing)
{
	bool tuned = !strcmp(x->command, "tune") || !strcmp(x->command, "resume");

	if (strcmp(x->status, "finished"))
		return NULL;
	if (!strcmp(x->command, "eval") && is_same_thing(f, evidence_thing(f, x), thing))
		return input(x, "data");
	for (size_t i = 0; i < x->n_uses && tuned; i++)
		if (x->uses[i].out && is_same_thing(f, family_find(f, x->uses[i].artefact.hash), thing))
			return input(x, "eval_data");
	return NULL;
}

static bool quality_of(const struct entry *x, struct span *quality)
{
	struct err none = ERR_INIT;
	json_t *j = ledger_view_metrics(x);
	bool there = summary_quality(quality, j, "", &none) == 0;

	json_decref(j);
	return there;
}

bool comparable_quality(const struct family *f, int thing, const char *rows, struct span *quality,
                        const struct entry **from)
{
	int best = 0;

	for (size_t i = f->entries->n; i-- > 0 && rows;) {
		const struct entry *x = &f->entries->items[i];
		const char *on = judged_on(f, x, thing);
		int worth = strcmp(x->command, "eval") ? 1 : evidence_thing(f, x) == thing ? 3 : 2;
		struct span q;
		if (worth <= best || !on || strcmp(on, rows) || !quality_of(x, &q))
			continue;
		best = worth;
		*quality = q;
		*from = x;
	}
	return best > 0;
}

static size_t known_on(const struct evidence *const *v, size_t n, const struct family *f, const char *rows)
{
	const struct entry *from;
	struct span q;
	size_t known = 0;

	for (size_t i = 0; i < n; i++)
		known += comparable_quality(f, v[i]->thing, rows, &q, &from);
	return known;
}

/* Sets of rows that were looked at. */
struct seen { const char **rows; size_t n; };

static bool is_new(struct seen *s, const char *rows)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(rows, s->rows[i]))
			return false;
	if ((s->n & (s->n - 1)) == 0)
		s->rows = mem_grow(s->rows, MAX(2 * s->n, (size_t)1), sizeof(*s->rows));
	s->rows[s->n++] = rows;
	return true;
}

const char *comparable_rows(const struct evidence *const *v, size_t n, const struct family *f)
{
	const char *best = NULL;
	struct seen seen = { 0 };
	size_t most = 0;

	for (size_t i = f->entries->n; i-- > 0 && most < n;)
		for (size_t k = 0; k < n; k++) {
			const char *rows = judged_on(f, &f->entries->items[i], v[k]->thing);
			size_t known = rows && is_new(&seen, rows) ? known_on(v, n, f, rows) : 0;
			if (known > most) {
				most = known;
				best = rows;
			}
		}
	mem_free(seen.rows);
	return best;
}
