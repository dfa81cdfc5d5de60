/* fixture_training: see fixture_training.h. */
#include "fixture_training.h"

#include <string.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"

static void set(struct test *t, struct job *j, const char *name, const char *value)
{
	struct err e = ERR_INIT;
	CHECK_MSG(t, opt_assign(&j->parse, name, value, &e) == 0, "%s", e.msg);
}

/* assignments: "name=value name=value …" */
void job_init(struct test *t, struct job *j, const char *model, const char *data, const char *assignments)
{
	struct err e = ERR_INIT;
	char *words = mem_strdup(assignments), *save = NULL;

	*j = (struct job){ .model = *model == '/' ? mem_strdup(model) : io_join(test_golden(), model),
		           .data = mem_strdup(data),
		           .out = io_join(test_tmp(), "run") };
	opt_begin(&j->parse, recipe_opts, &j->recipe, &e);
	set(t, j, "model", j->model);
	set(t, j, "data", j->data);
	set(t, j, "out", j->out);
	set(t, j, "forgetting", "false"); /* test_forgetting measures it */
	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char *is = strchr(w, '=');
		*is = 0;
		set(t, j, w, is + 1);
	}
	CHECK_MSG(t, recipe_resolve(&j->recipe, &e) == 0, "%s", e.msg);
	mem_free(words);
}

void job_release(struct job *j)
{
	opt_release(&j->parse);
	mem_free(j->model);
	mem_free(j->data);
	mem_free(j->out);
}

void params_hash(const struct params *p, char hex[33])
{
	struct hash_stream *h = hash_begin();
	for (size_t i = 0; i < p->n_items; i++)
		hash_add(h, p->w + p->items[i].offset, p->items[i].n * sizeof(float));
	hash_end(h, hex);
}

bool training_begin_with(struct test *t, struct training *s, const struct job *j, const struct objective *o,
                         int threads)
{
	struct err e = ERR_INIT;
	const struct kernels *k = kernels_get(NULL, &e);

	*s = (struct training){ .pool = pool_new(threads) };
	s->device = device_cpu(k, s->pool);
	int status = !k ? -1 :
	             o  ? trainer_open_objective(&s->trainer, &j->recipe, o, NULL, 0, &s->device, &e) :
	                  trainer_open(&s->trainer, &j->recipe, &s->device, &e);
	bool fine = status == 0 && trainer_start(s->trainer, &e) == 0;
	CHECK_MSG(t, fine, "%s", e.msg);
	return fine;
}

bool training_begin(struct test *t, struct training *s, const struct job *j, int threads)
{
	return training_begin_with(t, s, j, NULL, threads);
}

void training_end(struct training *s)
{
	trainer_close(s->trainer);
	pool_free(s->pool);
}

void training_steps(struct test *t, struct training *s, int n, double *losses)
{
	struct err e = ERR_INIT;
	for (int i = 0; i < n; i++) {
		struct step_metrics m;
		if (trainer_step(s->trainer, &m, &e) < 0) {
			CHECK_MSG(t, false, "%s", e.msg);
			return;
		}
		if (losses)
			losses[i] = m.loss;
	}
}

/* The weights after all steps of a job. */
void training_run(struct test *t, const char *model, const char *data, const char *assignments, int threads,
                  char hex[33], struct trainer_plan *plan)
{
	struct job j;
	struct training s;

	hex[0] = 0;
	job_init(t, &j, model, data, assignments);
	if (training_begin(t, &s, &j, threads)) {
		training_steps(t, &s, (int)trainer_plan(s.trainer)->steps, NULL);
		params_hash(trainer_params(s.trainer), hex);
		if (plan)
			*plan = *trainer_plan(s.trainer);
	}
	training_end(&s);
	job_release(&j);
}

/* Rows of many lengths, some of which begin alike. */
char *write_rows(struct test *t, size_t n)
{
	static const char *const words[] = { "plan",  "tape",  "row",  "sum",  "bit",
		                             "games", "fonts", "mail", "tree", "leaf" };
	struct rng_stream r = { 11 };
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	char *path = io_join(test_tmp(), "rows.jsonl");

	for (size_t i = 0; i < n; i++) {
		buf_adds(&text, "{\"prompt\": \"");
		buf_adds(&text, i % 3 ? "Which of these words comes next? " : "A plan is a promise. ");
		for (uint32_t j = 1 + rng_below(&r, 9); j-- > 0; )
			buf_addf(&text, "%s ", words[rng_below(&r, ARRAY_LEN(words))]);
		buf_adds(&text, "\", \"completion\": \"");
		for (uint32_t j = 1 + rng_below(&r, 4); j-- > 0; )
			buf_addf(&text, " %s", words[rng_below(&r, ARRAY_LEN(words))]);
		buf_adds(&text, "\"}\n");
	}
	CHECK_MSG(t, io_write(path, text.data, text.len, &e) == 0, "%s", e.msg);
	buf_release(&text);
	return path;
}

char *write_calls(struct test *t)
{
	static const char *const words[] = { "plan", "tape", "row", "sum", "bit" };
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	char *path = io_join(test_tmp(), "calls.jsonl");

	for (size_t i = 0; i < 24; i++)
		buf_addf(&text, "{\"prompt\": \"All of these rows begin with one long sentence. Then a %s of the "
		                "%s::\", \"completion\": \" %s\"}\n", words[i % 5], words[i / 5], words[i % 3]);
	CHECK_MSG(t, io_write(path, text.data, text.len, &e) == 0, "%s", e.msg);
	buf_release(&text);
	return path;
}
