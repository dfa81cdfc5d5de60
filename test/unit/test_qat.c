/* test_qat: --qat: what is trained computes what the file that it becomes computes, bit for bit, whatever the type, the
 * method and the memory's form; steps before its start are those of a run without it; a run that was stopped goes on
 * with the same bits; the gradient of LoRA inside a rounded matrix is that of LoRA beside it. */
#include "fixture_training.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "infer/scorer.h"
#include "model/export.h"
#include "model/init.h"
#include "model/prepare.h"
#include "token/tokenizer.h"
#include "train/run_dir.h"

enum { ROWS = 8, LENGTH = 24 };

/* --- a model whose rows blocks of 256 divide --- */

static char *make_wide(struct test *t)
{
	static const struct { const char *key; int value; } sizes[] = {
		{ "hidden_size", 256 }, { "intermediate_size", 256 }, { "num_hidden_layers", 1 }, { "head_dim", 64 },
	};
	char *golden = io_join(test_golden(), "llama"), *path = io_join(golden, "config.json"),
	     *dir = io_join(test_tmp(), "wide");
	struct err e = ERR_INIT;
	struct pool *p = pool_new(2);
	struct init_options o = { .seed = 3, .range = 0.1 };
	struct model m;
	json_t *config = jsonx_load_file(path, &e);

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		json_object_set_new(config, sizes[i].key, json_integer(sizes[i].value));
	struct export_weights w = { .get = export_own, .ctx = &m };
	CHECK_MSG(t, model_new(&m, config, tokenizer_from_dir(golden, &e), &o, p, &e) == 0 &&
	             export_model(&m, dir, DTYPE_F32, &w, &e) == 0, "%s", e.msg);
	model_close(&m);
	pool_free(p);
	json_decref(config);
	mem_free(golden);
	mem_free(path);
	return dir;
}

/* --- what it computes --- */

struct texts {
	int32_t ids[ROWS][LENGTH];
	uint8_t learn[ROWS][LENGTH];
	struct document docs[ROWS];
	const struct document *list[ROWS];
	float *each[ROWS], x[ROWS][LENGTH];
};

static void make_texts(struct texts *s)
{
	struct rng_stream r = { 5 };

	*s = (struct texts){ 0 };
	for (int i = 0; i < ROWS; i++) {
		int n = 3 * (i + 1);
		for (int k = 0; k < n; k++)
			s->ids[i][k] = (int32_t)rng_below(&r, 280);
		s->docs[i] = (struct document){ .ids = s->ids[i], .learn = s->learn[i], .n = n, .choice = -1 };
		s->list[i] = &s->docs[i];
		s->each[i] = s->x[i];
	}
}

static void score(struct test *t, struct model *m, const struct overlay *o, struct device *d, struct texts *s)
{
	struct scorer_options so = { .max_tokens = LENGTH, .max_length = LENGTH };
	struct err e = ERR_INIT;
	struct scorer *scorer = NULL;
	double sum[ROWS];

	make_texts(s);
	bool fine = scorer_new(&scorer, m, o, d, &so, &e) == 0 &&
	            scorer_run(scorer, s->list, ROWS, true, sum, s->each, NULL, NULL, &e) == 0;
	CHECK_MSG(t, fine, "%s", e.msg);
	scorer_free(scorer);
}

/* The file's, from its blocks as they lie, and in panels. */
static void check_file(struct test *t, const char *run, struct device *d, const struct texts *want)
{
	char *path = io_join(run, QAT_FILE);

	for (int panels = 0; panels < 2; panels++) {
		static struct texts got;
		struct err e = ERR_INIT;
		struct model m;
		bool fine = model_open(&m, path, &e) == 0;
		CHECK_MSG(t, fine, "%s", e.msg);
		if (!fine)
			break;
		fine = !panels || model_prepare(&m, d->pool, COMPUTE_F32, PREPARE_GENERATE, &e) == 0;
		CHECK_MSG(t, fine, "%s", e.msg);
		score(t, &m, NULL, d, &got);
		CHECK_MSG(t, !memcmp(got.x, want->x, sizeof(got.x)), "%s differs from what was trained, %s", path,
		          panels ? "in panels" : "as it lies");
		model_close(&m);
	}
	mem_free(path);
}

/* model: of test/golden, or a whole path. */
static void check_forward(struct test *t, const char *model, const char *rows, const char *type, const char *more)
{
	static struct texts trained;
	char *out = io_join(test_tmp(), "qat");
	char *words = mem_printf("qat=%s max-steps=3 learning-rate=1e-2 warmup-steps=0 %s", type, more);
	struct err e = ERR_INIT;
	struct job j;
	struct training s;

	test_case(t, type);
	job_init(t, &j, model, rows, words);
	if (training_begin(t, &s, &j, 2)) {
		training_steps(t, &s, 3, NULL);
		score(t, trainer_model(s.trainer), trainer_overlay(s.trainer), &s.device, &trained);
		CHECK(t, trained.x[1][1] < 0 && trained.x[7][9] < 0);
		bool fine = io_mkdirs(out, &e) == 0 && trainer_result(s.trainer, out, &e) == 0;
		CHECK_MSG(t, fine, "%s", e.msg);
		if (fine)
			check_file(t, out, &s.device, &trained);
	}
	training_end(&s);
	job_release(&j);
	mem_free(out);
	mem_free(words);
}

/* --- beside torch --- */

/* Losses and norms of the gradient of steps on all rows, by torch and gguf's quantizers (tools/golden/qat.py), whose
 * sums are rounded in another order: so a number near the middle between two integers may become the other one. */
static void check_golden(struct test *t, const json_t *all, const char *type)
{
	const json_t *want = json_object_get(all, type);
	char *rows = io_join(test_golden(), "rows.jsonl");
	long steps = (long)json_integer_value(json_object_get(all, "steps"));
	char *words = mem_printf("method=full qat=%s max-steps=%ld learning-rate=%g warmup-steps=0", type, steps,
	                         json_number_value(json_object_get(all, "learning_rate")));
	struct training s;
	struct job j;

	test_case(t, "steps are torch's");
	job_init(t, &j, "llama", rows, words);
	bool fine = training_begin(t, &s, &j, 2);
	for (long i = 0; fine && i < steps; i++) {
		struct err e = ERR_INIT;
		struct step_metrics m;
		double loss = json_number_value(json_array_get(json_object_get(want, "loss"), (size_t)i));
		double norm = json_number_value(json_array_get(json_object_get(want, "grad_norm"), (size_t)i));
		fine = trainer_step(s.trainer, &m, &e) == 0;
		CHECK_MSG(t, fine && fabs(m.loss - loss) < 2e-4 * loss && fabs(m.grad_norm - norm) < 2e-3 * norm,
		          "%s, step %ld: loss %.6f, not %.6f; norm %.6f, not %.6f", type, i + 1, m.loss, loss,
		          m.grad_norm, norm);
	}
	training_end(&s);
	job_release(&j);
	mem_free(words);
	mem_free(rows);
}

static void check_goldens(struct test *t)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), "qat.json");
	json_t *all = jsonx_load_file(path, &e);

	CHECK_MSG(t, all, "%s", e.msg);
	check_golden(t, all, "q4_0");
	check_golden(t, all, "q8_0");
	check_golden(t, all, "mxfp4");
	json_decref(all);
	mem_free(path);
}

/* --- going on --- */

static void check_resumed(struct test *t, const char *rows, const char *how)
{
	char whole[33], parts[33], *dir = io_join(test_tmp(), "checkpoint");
	char *words = mem_printf("%s max-steps=4 learning-rate=1e-2 qat-start-step=2", how);
	struct err e = ERR_INIT;
	struct training s;
	struct job j;
	json_t *caller = NULL;

	test_case(t, "a run that was stopped, on other threads");
	training_run(t, "llama", rows, words, 3, whole, NULL);
	job_init(t, &j, "llama", rows, words);
	if (training_begin(t, &s, &j, 1)) {
		training_steps(t, &s, 2, NULL);
		CHECK_MSG(t, trainer_save(s.trainer, dir, NULL, &e) == 0, "%s", e.msg);
	}
	training_end(&s);
	if (training_begin(t, &s, &j, 2)) {
		CHECK_MSG(t, trainer_load(s.trainer, dir, &caller, &e) == 0, "%s", e.msg);
		training_steps(t, &s, 2, NULL);
		params_hash(trainer_params(s.trainer), parts);
		CHECK(t, !strcmp(whole, parts));
	}
	training_end(&s);
	json_decref(caller);
	job_release(&j);
	mem_free(words);
	mem_free(dir);
}

/* Of a GGUF, whose rows lie as in the file that it becomes; a folder's may not, and then sums are rounded otherwise. */
static void losses(struct test *t, const char *rows, const char *words, int n, double *out)
{
	struct training s;
	struct job j;

	job_init(t, &j, "llama.gguf", rows, words);
	if (training_begin(t, &s, &j, 2))
		training_steps(t, &s, n, out);
	training_end(&s);
	job_release(&j);
}

static void check_start(struct test *t, const char *rows)
{
	double plain[3], late[3];

	test_case(t, "steps before its start are those of a run without it");
	losses(t, rows, "method=full max-steps=3 learning-rate=1e-3", 3, plain);
	losses(t, rows, "method=full max-steps=3 learning-rate=1e-3 qat=q4_0 qat-start-step=3", 3, late);
	CHECK(t, plain[0] == late[0] && plain[1] == late[1]);
	CHECK(t, plain[2] != late[2]);
}

/* Of LoRA beside a weight and inside one that is not rounded (a start that has not come): the same but for the order in
 * which sums are rounded. */
static void check_lora(struct test *t, const char *rows)
{
	double beside[3], inside[3];

	test_case(t, "LoRA inside a matrix learns as beside it");
	losses(t, rows, "method=lora compute=f32 max-steps=3 learning-rate=1e-2 warmup-steps=0", 3, beside);
	losses(t, rows, "method=lora max-steps=3 learning-rate=1e-2 warmup-steps=0 qat=q8_0 qat-start-step=3", 3,
	       inside);
	CHECK_MSG(t, fabs(beside[0] - inside[0]) < 1e-5 && fabs(beside[1] - inside[1]) < 1e-4, "%g %g, not %g %g",
	          inside[0], inside[1], beside[0], beside[1]);
	CHECK(t, inside[0] - inside[1] > 0.01);
}

void test_qat(struct test *t)
{
	char *rows = write_rows(t, ROWS), *wide = make_wide(t);

	check_forward(t, "llama", rows, "q4_0", "method=full");
	check_forward(t, "llama", rows, "q4_0", "method=lora");
	check_forward(t, "llama", rows, "q8_0", "method=full");
	check_forward(t, "llama", rows, "mxfp4", "method=full");
	check_forward(t, "llama", rows, "mxfp4", "method=lora");
	check_forward(t, wide, rows, "q4_k", "method=full");
	check_forward(t, wide, rows, "q4_k", "method=lora");
	check_forward(t, "llama.gguf", rows, "q4_0", "method=full trainable=layers.1");
	check_forward(t, "gemma3.gguf", rows, "q4_0", "method=full");
	check_forward(t, "mistral", rows, "q4_0", "method=full");
	check_forward(t, "gpt_neox", rows, "q4_0", "method=full");
	check_forward(t, "mixtral", rows, "mxfp4", "method=full");
	check_forward(t, "gpt2", rows, "q4_1", "method=lora");
	check_goldens(t);
	check_start(t, rows);
	check_lora(t, rows);
	check_resumed(t, rows, "method=full qat=q4_0");
	check_resumed(t, rows, "method=lora qat=q4_k");
	mem_free(rows);
	mem_free(wide);
}
