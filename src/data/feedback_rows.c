/* feedback_rows: see feedback_rows.h. */
#include "data/feedback_rows.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "feedback/said.h"

const char *const feedback_rows_names[ROWS_KINDS] = { [ROWS_RANKED] = "ranked", [ROWS_PREFERENCE] = "preference",
	                                              [ROWS_UNPAIRED] = "unpaired", [ROWS_SFT] = "completion" };

/* A text, or messages, that say nothing. */
static bool is_empty(const json_t *answer)
{
	const json_t *content = json_object_get(json_array_get(answer, json_array_size(answer) - 1), "content");

	if (json_is_string(answer))
		return !json_string_length(answer);
	return json_is_string(content) && !json_string_length(content);
}

static bool teaches(const json_t *row)
{
	const json_t *chosen = json_object_get(row, "chosen"), *rejected = json_object_get(row, "rejected");
	const json_t *completion = json_object_get(row, "completion");

	if (completion)
		return !is_empty(completion);
	return !chosen || (!is_empty(chosen) && !is_empty(rejected) && !json_equal(chosen, rejected));
}

json_t *label_rows(enum feedback_rows kind, const struct feedback_rule *rule, const struct feedback_study *s,
                   const struct feedback_item *it, const struct feedback_label *l, size_t *untaught, struct err *e)
{
	json_t *list = json_array();

	if (!l->repeat_of && feedback_rows(kind, rule, s, it, l, list, e) < 0) {
		json_decref(list);
		return NULL;
	}
	for (size_t i = json_array_size(list); i-- > 0;)
		if (!teaches(json_array_get(list, i))) {
			json_array_remove(list, i);
			++*untaught;
		}
	return list;
}

enum feedback_rows feedback_rows_kind(const struct said *s)
{
	double score[FEEDBACK_ANSWERS];
	bool corrections = false;

	for (size_t i = 0; i < s->n_labels; i++) {
		ptrdiff_t k = said_item(s, s->labels[i].item);
		corrections |= s->labels[i].edited != NULL;
		if (k >= 0 && !s->labels[i].skipped && feedback_scores(&s->items[k], &s->labels[i], score))
			return ROWS_PREFERENCE;
	}
	return corrections ? ROWS_SFT : ROWS_UNPAIRED;
}

struct adding {
	int (*add)(void *ctx, size_t line, json_t *row, struct err *e);
	void *ctx;
	size_t rows, untaught;
};

static int add_label(struct adding *a, const struct said *s, enum feedback_rows kind, const struct feedback_label *l,
                     struct err *e)
{
	const struct feedback_rule rule = { 0, NAN, NAN };
	ptrdiff_t k = said_item(s, l->item);
	json_t *list = k < 0 ? json_array() :
	                       label_rows(kind, &rule, s->study, &s->items[k], l, &a->untaught, e), *row;
	int status = list ? 0 : -1;
	size_t i;

	json_array_foreach(list, i, row)
		if (status == 0) {
			status = a->add(a->ctx, (size_t)l->id, json_incref(row), e);
			a->rows++;
		}
	json_decref(list);
	return status;
}

int feedback_file_rows(const char *path, int kind, int (*add)(void *ctx, size_t line, json_t *row, struct err *e),
                       void *ctx, struct err *e)
{
	struct adding a = { .add = add, .ctx = ctx };
	struct arena mem = ARENA_INIT;
	struct feedback *f;
	struct said said;

	if (feedback_open(&f, path, false, e) < 0)
		return -1;
	int status = said_load(&said, f, &mem, e);
	if (status == 0 && kind == ROWS_KINDS)
		kind = feedback_rows_kind(&said);
	for (size_t i = 0; status == 0 && i < said.n_labels; i++)
		status = add_label(&a, &said, (enum feedback_rows)kind, &said.labels[i], e);
	if (status == 0 && !a.rows)
		status = err_set(e, "%s: none of its %zu labels gives a row of the kind %s", path, said.n_labels,
		                 feedback_rows_names[kind]);
	if (status == 0 && a.untaught)
		log_say("%s: %zu rows of equal or empty answers are left out", path, a.untaught);
	feedback_close(f);
	arena_release(&mem);
	return status;
}
