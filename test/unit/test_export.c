/* test_export: models written as Hugging Face folders and read again: from a folder everything as it was, from a GGUF
 * the same numbers, ids and template; heads that are parted; and that what cannot be written leaves nothing. That
 * transformers reads them alike is tools/check-peft's. */
#include "../test.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/export.h"
#include "token/tokenizer.h"

static bool open_model(struct test *t, struct model *m, const char *path)
{
	struct err e = ERR_INIT;
	int status = model_open(m, path, &e);
	status = status == 0 ? model_tokenizer(m, &e) : status;
	CHECK_MSG(t, status == 0, "%s", e.msg);
	return status == 0;
}

static bool open_golden(struct test *t, struct model *m, const char *name)
{
	char *path = io_join(test_golden(), name);
	bool ok = open_model(t, m, path);
	mem_free(path);
	return ok;
}

static size_t numbers(const struct weight *w) { return w->dim[0] * (w->n_dims == 2 ? w->dim[1] : 1); }

/* Largest |x − y| / |x| over all weights, below f16's normal numbers absolute; the names must be the same. */
static double weights_differ(struct test *t, const struct model *a, const struct model *b)
{
	double worst = 0;
	CHECK(t, a->n_weights == b->n_weights);
	for (size_t i = 0; i < MIN(a->n_weights, b->n_weights); i++) {
		const struct weight *x = &a->weights[i], *y = &b->weights[i];
		CHECK_MSG(t, !strcmp(x->name, y->name) && x->n_dims == y->n_dims && numbers(x) == numbers(y), "%s, %s",
		          x->name, y->name);
		float *v = mem_array(numbers(x), sizeof(*v)), *w = mem_array(MAX(numbers(x), numbers(y)), sizeof(*w));
		model_weight_float(a, (int)i, v);
		model_weight_float(b, (int)i, w);
		for (size_t k = 0; k < numbers(x); k++)
			worst = fmax(worst, fabs((double)v[k] - (double)w[k]) / fmax(fabs((double)v[k]), 6.2e-5));
		mem_free(v);
		mem_free(w);
	}
	return worst;
}

static void same_tokens(struct test *t, const struct model *a, const struct model *b)
{
	static const char text[] = "What didn't fit in 2026? <|begin|>Grüße 🙂<|end|>\n  naïve\tcafé";
	struct tokens x = { 0 }, y = { 0 };
	const char *one = tokenizer_template(a->tokenizer), *two = tokenizer_template(b->tokenizer);
	CHECK(t, tokenizer_encode(a->tokenizer, text, strlen(text), TOKENIZE_SPECIAL, &x, NULL) == 0);
	CHECK(t, tokenizer_encode(b->tokenizer, text, strlen(text), TOKENIZE_SPECIAL, &y, NULL) == 0);
	CHECK(t, x.n == y.n && x.n > 0 && !memcmp(x.id, y.id, x.n * sizeof(*x.id)));
	CHECK(t, !one == !two && (!one || !strcmp(one, two)));
	CHECK(t, tokenizer_bos(a->tokenizer) == tokenizer_bos(b->tokenizer) &&
	                 tokenizer_eos(a->tokenizer) == tokenizer_eos(b->tokenizer));
	CHECK(t, tokenizer_pad(a->tokenizer) == tokenizer_pad(b->tokenizer) &&
	                 tokenizer_front(a->tokenizer) == tokenizer_front(b->tokenizer));
	tokens_release(&x);
	tokens_release(&y);
}

/* limit: of the relative difference. */
static void check_round_trip(struct test *t, const char *name, enum dtype dtype, double limit)
{
	struct model m, back;
	struct err e = ERR_INIT;
	char *dir = mem_printf("%s/%s-%s", test_tmp(), name, dtypes[dtype].name);
	test_case(t, "%s as %s", name, dtypes[dtype].name);
	if (open_golden(t, &m, name)) {
		struct export_weights w = { .get = export_own, .ctx = &m };
		CHECK_MSG(t, export_folder(&m, dir, dtype, &w, &e) == 0, "%s", e.msg);
		if (open_model(t, &back, dir)) {
			double worst = weights_differ(t, &m, &back);
			CHECK_MSG(t, worst <= limit, "%g", worst);
			CHECK(t, back.config.tied == m.config.tied && back.config.n_ctx == m.config.n_ctx &&
			                 back.config.rope_theta == m.config.rope_theta &&
			                 back.config.norm_eps == m.config.norm_eps);
			same_tokens(t, &m, &back);
			model_close(&back);
		}
		model_close(&m);
	}
	mem_free(dir);
}

static bool same_file(const char *a, const char *b, const char *name)
{
	struct buf x = BUF_INIT, y = BUF_INIT;
	char *one = io_join(a, name), *two = io_join(b, name);
	bool same = io_read(&x, one, NULL) == 0 && io_read(&y, two, NULL) == 0 && x.len == y.len &&
	            !memcmp(buf_str(&x), buf_str(&y), x.len);
	buf_release(&x);
	buf_release(&y);
	mem_free(one);
	mem_free(two);
	return same;
}

static json_t *load(const char *dir, const char *name)
{
	char *path = io_join(dir, name);
	json_t *j = jsonx_load_file(path, NULL);
	mem_free(path);
	return j;
}

static bool same_json(const char *a, const char *b, const char *name)
{
	json_t *x = load(a, name), *y = load(b, name);
	bool same = x && y && json_equal(x, y);
	json_decref(x);
	json_decref(y);
	return same;
}

/* The tensors as the file has them: GPT-2's are [in][out] there. */
static void same_tensors(struct test *t, const char *a, const char *b)
{
	struct safetensors x, y;
	struct err e = ERR_INIT;
	char *one = io_join(a, "model.safetensors"), *two = io_join(b, "model.safetensors");
	int status = st_open(&x, one, &e);
	CHECK_MSG(t, status == 0 && (status = st_open(&y, two, &e)) == 0 && x.n_tensors == y.n_tensors, "%s", e.msg);
	for (size_t i = 0; status == 0 && i < x.n_tensors; i++) {
		const struct st_tensor *p = x.by_name[i], *q = y.by_name[i];
		CHECK_MSG(t,
		          !strcmp(p->name, q->name) && p->bytes == q->bytes &&
		                  !memcmp(p->dim, q->dim, sizeof(p->dim)) && !memcmp(p->data, q->data, p->bytes),
		          "%s", p->name);
	}
	st_close(&x);
	st_close(&y);
	mem_free(one);
	mem_free(two);
}

static void check_files(struct test *t, const char *name)
{
	/* written by the round trip */
	char *from = io_join(test_golden(), name), *to = mem_printf("%s/%s-F32", test_tmp(), name);
	test_case(t, "%s: every file as it was", name);
	if (!io_is_dir(to))
		check_round_trip(t, name, DTYPE_F32, 0);
	same_tensors(t, from, to);
	CHECK(t, same_file(from, to, "tokenizer.json") && same_file(from, to, "tokenizer_config.json"));
	CHECK(t, same_json(from, to, "config.json") && same_json(from, to, "generation_config.json"));
	mem_free(from);
	mem_free(to);
}

/* --- heads --- */

static const float *other_head(void *ctx, float *scratch)
{
	const struct model *m = ctx;
	size_t n = numbers(&m->weights[model_head(m)]);
	for (size_t i = 0; i < n; i++)
		scratch[i] = (float)i;
	return scratch;
}

/* The folder once it says that its head is its embedding; weights: how many there are. */
static void check_claimed(struct test *t, const char *dir, size_t weights, const char *what)
{
	struct model m;
	char *path = io_join(dir, "config.json");
	json_t *j = jsonx_load_file(path, NULL);
	test_case(t, "%s", what);
	json_object_set_new(j, "tie_word_embeddings", json_true());
	jsonx_write_file(path, j, NULL);
	const struct log_sink silent = { 0 }, *before = log_lend(&silent); /* that the folder contradicts itself */
	if (open_model(t, &m, dir)) {
		bool own = model_weight_by_name(&m, m.config.arch->head) >= 0;
		CHECK(t, m.n_weights == weights && m.config.tied == !own);
		model_close(&m);
	}
	log_lend(before);
	json_decref(j);
	mem_free(path);
}

static void check_untied(struct test *t, const char *name)
{
	struct model m, back;
	struct err e = ERR_INIT;
	char *dir = mem_printf("%s/%s-untied", test_tmp(), name);
	test_case(t, "%s with a head of its own", name);
	if (open_golden(t, &m, name)) {
		struct export_weights w = { .get = export_own, .head = other_head, .ctx = &m };
		CHECK_MSG(t, export_folder(&m, dir, DTYPE_F32, &w, &e) == 0, "%s", e.msg);
		if (open_model(t, &back, dir)) {
			const float *head = back.weights[model_head(&back)].data;
			CHECK(t,
			      !back.config.tied && back.n_weights == m.n_weights + 1 && head[0] == 0 && head[77] == 77);
			model_close(&back);
		}
		check_claimed(t, dir, m.n_weights + 1, "a folder that says it is tied and has another head");
		model_close(&m);
	}
	mem_free(dir);
}

static const float *same_head(void *ctx, float *scratch)
{
	model_weight_float(ctx, model_head(ctx), scratch);
	return scratch;
}

static void check_copied(struct test *t)
{
	struct model m;
	struct err e = ERR_INIT;
	char *dir = io_join(test_tmp(), "copied");
	if (open_golden(t, &m, "llama")) {
		struct export_weights w = { .get = export_own, .head = same_head, .ctx = &m };
		CHECK_MSG(t, export_folder(&m, dir, DTYPE_F32, &w, &e) == 0, "%s", e.msg);
		check_claimed(t, dir, m.n_weights, "a folder that says it is tied and has the embedding twice");
		model_close(&m);
	}
	mem_free(dir);
}

/* Trained numbers lie in the order of the file's rows. */
static void test_trained(struct test *t)
{
	struct model m;
	struct params p = { 0 };
	struct err e = ERR_INIT;
	test_case(t, "trained numbers of a GGUF: rows of q and k back in order");
	if (!open_golden(t, &m, "llama.gguf"))
		return;
	int *param = mem_array(m.n_weights, sizeof(*param));
	for (size_t i = 0; i < m.n_weights; i++)
		param[i] = i % 3 == 2 ? -1 :
		                        params_add(&p, m.weights[i].name, m.weights[i].n_dims, m.weights[i].dim,
		                                   (int)i);
	CHECK(t, params_seal(&p, &e) == 0);
	for (size_t i = 0; i < m.n_weights; i++)
		if (param[i] >= 0)
			dtypes[m.weights[i].dtype].to_float(m.weights[i].data, p.w + p.items[param[i]].offset,
			                                    numbers(&m.weights[i]));
	struct export_trained trained = { .model = &m, .params = &p, .param = param };
	float *own = mem_alloc(export_scratch(&m)), *scratch = mem_alloc(export_scratch(&m));
	for (size_t i = 0; i < m.n_weights; i++) {
		model_weight_float(&m, (int)i, own);
		CHECK_MSG(t,
		          !memcmp(own, export_from_params(&trained, (int)i, scratch),
		                  numbers(&m.weights[i]) * sizeof(*own)),
		          "%s", m.weights[i].name);
	}
	mem_free(own);
	mem_free(scratch);
	mem_free(param);
	params_release(&p);
	model_close(&m);
}

/* --- what cannot be written --- */

/* Unfinished folders in the tests' own. */
static size_t leftovers(void)
{
	struct err e = ERR_INIT;
	char **names;
	size_t n, found = 0;

	if (io_list(test_tmp(), &names, &n, &e) < 0)
		return 1;
	for (size_t i = 0; i < n; i++)
		found += strstr(names[i], ".kungfu-tmp-") != NULL;
	io_list_free(names, n);
	return found;
}

static void check_refused(struct test *t, const struct model *m, const char *dir, enum dtype dtype, const char *words)
{
	struct err e = ERR_INIT;
	struct export_weights w = { .get = export_own, .ctx = (void *)(uintptr_t)m };
	int status = export_folder(m, dir, dtype, &w, &e);
	CHECK_MSG(t, status == -1 && strstr(e.msg, words), "wanted '%s', got %d '%s'", words, status, e.msg);
	CHECK_MSG(t, !leftovers(), "a temporary folder is left");
}

static void test_refusals(struct test *t)
{
	struct model m;
	struct err e = ERR_INIT;
	struct rlimit was, small;
	char *full = io_join(test_tmp(), "full"), *file = io_join(full, "mine"), *below = io_join(file, "x"),
	     *fresh = io_join(test_tmp(), "fresh");
	if (!open_golden(t, &m, "llama"))
		return;
	test_case(t, "a folder that is not empty, a file in the way, a dtype of blocks");
	CHECK(t, io_mkdirs(full, &e) == 0 && io_write(file, "x", 1, &e) == 0);
	check_refused(t, &m, full, DTYPE_F32, "full: not an empty folder");
	check_refused(t, &m, file, DTYPE_F32, "mine");
	check_refused(t, &m, below, DTYPE_F32, "mine");
	check_refused(t, &m, fresh, DTYPE_Q4_0, "not as Q4_0");
	CHECK(t, io_exists(file) && !io_exists(fresh));
	test_case(t, "what a killed process left goes with the next, what only looks alike stays");
	struct export_weights w = { .get = export_own, .ctx = &m };
	char *left = io_join(test_tmp(), "next.kungfu-tmp-aB3dE6"), *mine = io_join(test_tmp(), "next.kungfu-tmp"),
	     *next = io_join(test_tmp(), "next");
	CHECK(t, io_mkdirs(left, &e) == 0 && io_mkdirs(mine, &e) == 0);
	CHECK(t, export_folder(&m, next, DTYPE_F32, &w, &e) == 0 && !leftovers() && io_is_dir(mine));
	mem_free(left);
	mem_free(mine);
	mem_free(next);
	test_case(t, "a disk that ends in the middle of the weights leaves nothing");
	getrlimit(RLIMIT_FSIZE, &was);
	small = (struct rlimit){ 100000, was.rlim_max };
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	check_refused(t, &m, fresh, DTYPE_F32, "model.safetensors");
	setrlimit(RLIMIT_FSIZE, &was);
	signal(SIGXFSZ, handler);
	CHECK(t, !io_exists(fresh));
	check_round_trip(t, "llama", DTYPE_BF16, 1.0 / 256);
	model_close(&m);
	mem_free(full);
	mem_free(file);
	mem_free(below);
	mem_free(fresh);
}

void test_export(struct test *t);
void test_export(struct test *t)
{
	check_round_trip(t, "llama", DTYPE_F32, 0);
	check_round_trip(t, "llama-untied", DTYPE_F32, 0);
	check_round_trip(t, "gpt2", DTYPE_F32, 0);
	check_round_trip(t, "gpt2", DTYPE_BF16, 1.0 / 256);
	check_round_trip(t, "llama", DTYPE_F16, 1.0 / 1024);
	check_round_trip(t, "llama.gguf", DTYPE_F32, 0);
	check_files(t, "llama");
	check_files(t, "llama-untied");
	check_files(t, "gpt2");
	check_untied(t, "llama");
	check_untied(t, "llama.gguf");
	check_copied(t);
	test_trained(t);
	test_refusals(t);
}
