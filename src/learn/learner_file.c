/* learner_file: a learner as two files: learner.json says what it is (format, kind, problem_type, labels, temperature,
 * C, layer, k, words, rows, folds, what cross-validation said), learner.safetensors has its numbers:
 *
 *     weight [cols][outputs], bias [outputs]   F64; of tfidf and probe
 *     idf [words]                              F64
 *     center, scale [width]                    F32; of knn and probe
 *     kept [rows][width], kept_y or kept_number [rows]   F32, I32, F64; of knn
 *     prior [labels]                           F64; of majority */
#include "learn/learner.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "format/safetensors.h"

#define FORMAT "kungfu-learner 1"
static const char json_name[] = "learner.json", tensors_name[] = "learner.safetensors";
enum { TENSORS = 8 };

bool learner_is_in(const char *dir)
{
	char *path = io_join(dir, json_name);
	bool there = io_exists(path);

	mem_free(path);
	return there;
}

/* --- writing --- */

struct list { struct st_tensor item[TENSORS]; size_t n; };

static void put(struct list *l, const char *name, enum dtype type, const void *data, size_t rows, size_t cols)
{
	size_t size = type == DTYPE_F64 ? sizeof(double) : sizeof(float);

	if (!data)
		return;
	struct st_tensor *t = &l->item[l->n++];
	*t = (struct st_tensor){ .name = name, .dtype = type, .n_dims = cols ? 2 : 1, .dim = { rows, cols },
		                 .data = data, .bytes = rows * (cols ? cols : 1) * size };
}

static int save_tensors(const struct learner *l, const char *path, struct err *e)
{
	struct list t = { 0 };
	size_t outputs = (size_t)l->linear.outputs;

	put(&t, "weight", DTYPE_F64, l->linear.w, l->linear.cols, outputs);
	put(&t, "bias", DTYPE_F64, l->linear.b, outputs, 0);
	put(&t, "idf", DTYPE_F64, l->words.n ? l->words.idf : NULL, l->words.n, 0);
	put(&t, "prior", DTYPE_F64, l->prior, (size_t)l->labels.n, 0);
	put(&t, "kept_number", DTYPE_F64, l->kept_number, l->n_kept, 0);
	put(&t, "center", DTYPE_F32, l->center, l->width, 0);
	put(&t, "scale", DTYPE_F32, l->scale, l->width, 0);
	put(&t, "kept", DTYPE_F32, l->kept, l->n_kept, l->width);
	if (l->kept_y)
		put(&t, "kept_y", DTYPE_I32, l->kept_y, l->n_kept, 0);
	return st_write(path, t.item, t.n, NULL, 0, NULL, NULL, e);
}

static json_t *names(const char *const *name, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(name[i]));
	return list;
}

static json_t *describe(const struct learner *l, const json_t *more)
{
	json_t *j = json_pack("{s:s, s:s, s:s, s:o, s:f, s:I}", "format", FORMAT, "kind", learner_names[l->kind],
	                      "problem_type", problem_name(l->labels.problem), "labels",
	                      names(l->labels.name, (size_t)l->labels.n), "temperature", l->temperature, "rows",
	                      (json_int_t)l->rows);

	if (l->has_held)
		json_object_set_new(j, "cross_validation",
		                    json_pack("{s:i, s:o, s:o}", "folds", l->folds, "score",
		                              jsonx_number(l->held_score), "loss", jsonx_number(l->held_loss)));
	if (l->kind == LEARNER_TFIDF || l->kind == LEARNER_PROBE)
		json_object_set_new(j, "C", json_real(l->C));
	if (learner_reads_features(l->kind))
		json_object_set_new(j, "layer", json_integer(l->layer));
	if (l->kind == LEARNER_KNN)
		json_object_set_new(j, "k", json_integer(l->k));
	if (l->kind == LEARNER_TFIDF)
		json_object_set_new(j, "words", names(l->words.word, l->words.n));
	json_object_update_missing(j, (json_t *)(uintptr_t)more);
	return j;
}

int learner_save(const struct learner *l, const char *dir, const json_t *more, struct err *e)
{
	char *path = io_join(dir, json_name), *tensors = io_join(dir, tensors_name);
	json_t *j = describe(l, more);
	int status = save_tensors(l, tensors, e);

	if (status == 0)
		status = jsonx_write_file(path, j, e);
	json_decref(j);
	mem_free(path);
	mem_free(tensors);
	return status;
}

/* --- reading --- */

/* A tensor of so many numbers, copied; *out stays NULL where the file has none. */
static int take(struct arena *mem, const struct safetensors *s, const char *name, enum dtype type, size_t n, void *out,
                struct err *e)
{
	const struct st_tensor *t = st_find(s, name);
	size_t bytes = n * (type == DTYPE_F64 ? sizeof(double) : sizeof(float));
	void *copy;

	if (!t)
		return 0;
	if (t->dtype != type || t->bytes != bytes)
		return err_set(e, "%s: %s has %zu bytes of another type or number; %zu were wanted", s->path, name,
		               t->bytes, bytes);
	copy = arena_alloc(mem, bytes + 1);
	memcpy(copy, t->data, bytes);
	memcpy(out, &copy, sizeof(copy));
	return 0;
}

static size_t rows_of(const struct safetensors *s, const char *name)
{
	const struct st_tensor *t = st_find(s, name);

	return t ? t->dim[0] : 0;
}

static int missing(const struct learner *l, const char *path, struct err *e)
{
	return err_set(e, "%s: the numbers of a %s are not all there", path, learner_names[l->kind]);
}

static int check_kept(const struct learner *l, const char *path, struct err *e)
{
	for (size_t i = 0; l->kept_y && i < l->n_kept; i++)
		if (l->kept_y[i] < 0 || l->kept_y[i] >= l->labels.n)
			return err_set(e, "%s: row %zu has label %d of %d", path, i, l->kept_y[i], l->labels.n);
	return 0;
}

static int take_linear(struct learner *l, const struct safetensors *s, struct err *e)
{
	int classes = l->labels.problem == PROBLEM_REGRESSION ? 0 : l->labels.n;
	double *w = NULL, *b = NULL;

	linear_begin(&l->linear, l->kind == LEARNER_TFIDF ? l->words.n : l->width, classes);
	size_t outputs = (size_t)l->linear.outputs, n = l->linear.cols * outputs;
	if (take(&l->mem, s, "weight", DTYPE_F64, n, &w, e) < 0 ||
	    take(&l->mem, s, "bias", DTYPE_F64, outputs, &b, e) < 0)
		return -1;
	if (!w || !b)
		return missing(l, s->path, e);
	memcpy(l->linear.w, w, n * sizeof(*w));
	memcpy(l->linear.b, b, outputs * sizeof(*b));
	return 0;
}

static int take_tensors(struct learner *l, const struct safetensors *s, struct err *e)
{
	size_t labels = (size_t)l->labels.n;

	l->width = rows_of(s, "center");
	l->n_kept = rows_of(s, "kept");
	if (take(&l->mem, s, "idf", DTYPE_F64, l->words.n, &l->words.idf, e) < 0 ||
	    take(&l->mem, s, "prior", DTYPE_F64, labels, &l->prior, e) < 0 ||
	    take(&l->mem, s, "kept_number", DTYPE_F64, l->n_kept, &l->kept_number, e) < 0 ||
	    take(&l->mem, s, "center", DTYPE_F32, l->width, &l->center, e) < 0 ||
	    take(&l->mem, s, "scale", DTYPE_F32, l->width, &l->scale, e) < 0 ||
	    take(&l->mem, s, "kept", DTYPE_F32, l->n_kept * l->width, &l->kept, e) < 0 ||
	    take(&l->mem, s, "kept_y", DTYPE_I32, l->n_kept, &l->kept_y, e) < 0)
		return -1;
	bool numbers = l->labels.problem == PROBLEM_REGRESSION;
	if ((l->kind == LEARNER_MAJORITY && !l->prior) || (l->kind == LEARNER_TFIDF && !l->words.idf) ||
	    (learner_reads_features(l->kind) && (!l->center || !l->scale)) ||
	    (l->kind == LEARNER_KNN && (!l->kept || !(numbers ? (void *)l->kept_number : (void *)l->kept_y))))
		return missing(l, s->path, e);
	if (l->kind == LEARNER_TFIDF || l->kind == LEARNER_PROBE)
		return take_linear(l, s, e);
	return check_kept(l, s->path, e);
}

/* A list of texts, in the learner's memory. */
static int take_names(struct learner *l, const json_t *list, const char *what, const char *path, const char ***out,
                      size_t *n, struct err *e)
{
	size_t i;
	const json_t *item;

	*n = json_array_size(list);
	*out = arena_array(&l->mem, *n + 1, sizeof(**out));
	json_array_foreach(list, i, item) {
		if (!json_is_string(item))
			return err_set(e, "%s: %s has something else than texts", path, what);
		(*out)[i] = arena_strdup(&l->mem, json_string_value(item));
	}
	return 0;
}

static int take_facts(struct learner *l, const json_t *j, const char *path, struct err *e)
{
	const char *format, *kind, *problem;
	long long layer, k, rows;
	const char **name;
	size_t n;

	if (jsonx_string(j, "format", "", &format, e) < 0 || jsonx_string(j, "kind", "", &kind, e) < 0 ||
	    jsonx_string(j, "problem_type", "", &problem, e) < 0 || jsonx_int(j, "layer", -1, &layer, e) < 0 ||
	    jsonx_int(j, "k", 0, &k, e) < 0 || jsonx_int(j, "rows", 0, &rows, e) < 0 ||
	    jsonx_real(j, "temperature", 1, &l->temperature, e) < 0 || jsonx_real(j, "C", 0, &l->C, e) < 0)
		return err_prefix(e, "%s", path);
	int found = learner_find(kind);
	if (strcmp(format, FORMAT) != 0 || found < 0)
		return err_set(e, "%s: format '%.40s', kind '%.40s'; %s of majority, tfidf, knn or probe was wanted",
		               path, format, kind, FORMAT);
	l->kind = (enum learner_kind)found;
	l->layer = (int)layer;
	l->k = (int)k;
	l->rows = (size_t)rows;
	bool numbers = !strcmp(problem, problem_name(PROBLEM_REGRESSION));
	if (take_names(l, json_object_get(j, "labels"), "labels", path, &name, &n, e) < 0)
		return -1;
	if (n < (numbers ? 1 : 2) || n > LABELS_MOST || !(l->temperature > 0) || k < 0 || k > LEARNER_NEIGHBOURS)
		return err_set(e, "%s: %zu labels, temperature %g, k %lld: no such learner", path, n, l->temperature,
		               k);
	labels_make(&l->labels, &l->mem, (int)n, name, numbers ? PROBLEM_REGRESSION : PROBLEM_SINGLE_LABEL);
	return take_names(l, json_object_get(j, "words"), "words", path, &l->words.word, &l->words.n, e);
}

int learner_load(struct learner *l, const char *dir, json_t **json, struct err *e)
{
	char *path = io_join(dir, json_name), *tensors = io_join(dir, tensors_name);
	struct safetensors s;
	json_t *j = jsonx_load_file(path, e);
	int status = -1;

	*l = (struct learner){ .temperature = 1, .layer = -1 };
	if (j && take_facts(l, j, path, e) == 0 && st_open(&s, tensors, e) == 0) {
		status = take_tensors(l, &s, e);
		st_close(&s);
	}
	if (json)
		*json = status == 0 ? json_incref(j) : NULL;
	json_decref(j);
	mem_free(path);
	mem_free(tensors);
	return status;
}
