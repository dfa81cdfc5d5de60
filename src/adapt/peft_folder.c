/* peft_folder: an adapter as PEFT keeps it, a folder of adapter_config.json and adapter_model.safetensors: names and
 * shapes judged, numbers brought from and into the order of Hugging Face's files.
 *
 * Beside what is added to an embedding or a head PEFT saves that matrix itself (….base_layer.weight), and reading it
 * back replaces the model's. Here too; it is never written, which PEFT calls save_embedding_layers=False. */
#include "adapt/peft_folder.h"

#include <stdio.h>
#include <string.h>

#include "adapt/head_file.h"
#include "adapt/peft_config.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "format/pytorch.h"
#include "model/classifier.h"
#include "model/four_bit.h"
#include "model/weights.h"

static const char PREFIX[] = PEFT_PREFIX, CONFIG[] = "adapter_config.json", WEIGHTS[] = "adapter_model.safetensors";

const char *const adapter_files[] = { "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin",
	                              "adapter.safetensors", "pytorch_adapter.bin", "model_head.safetensors",
	                              "pytorch_model_head.bin", "head_config.json", NULL };

/* Keys are rotated, and so lie as the rows of the weights that make them. */
static bool has_permuted_keys(const struct model *m, struct file_layout place)
{
	return place.keys && m->config.rope_interleaved;
}

static void convert_keys(const struct model *m, const struct param *p, float *w, bool to_hf)
{
	const struct config *c = &m->config;
	size_t width = (size_t)c->G * (size_t)c->D;
	struct row_order order = { ROWS_ROTATED, (size_t)c->D, (size_t)c->G };

	for (size_t at = 0; at < p->n; at += 2 * width) /* keys, then values */
		weight_permute_rows(w + at, width, 1, order, to_hf);
}

/* A parameter's numbers, in place, between those that are kept and those of files: a weight saved whole is what the
 * model's own would be there, of others rows alone may lie otherwise. */
static void convert_param(const struct model *m, const struct param *p, struct file_layout place, float *w, bool to_hf)
{
	if (p->weight >= 0)
		weight_convert(m, p->weight, w, to_hf);
	else if (has_permuted_keys(m, place))
		convert_keys(m, p, w, to_hf);
	else if (weight_is_permuted(m, place.rows_of))
		weight_permute_rows(w, p->dim[0], p->n / p->dim[0], weight_row_order(m, place.rows_of), to_hf);
}

/* --- PEFT's tensors --- */

static void shape_text(char *out, size_t size, int n_dims, const size_t *dim)
{
	size_t at = 0;
	snprintf(out, size, "a scalar");
	for (int i = 0; i < n_dims && at < size; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%zu", i ? "×" : "", dim[i]);
}

/* The parameter's shape as files have it. */
static void file_shape(const struct adapter *a, size_t param, size_t dim[4])
{
	const struct param *p = &a->overlay.params.items[param];
	memcpy(dim, p->dim, sizeof(p->dim));
	if (a->place[param].transposed) {
		dim[0] = p->dim[1];
		dim[1] = p->dim[0];
	}
}

static int check_dims(const struct st_tensor *t, int n_dims, const size_t *dim, const struct safetensors *s,
                      struct err *e)
{
	char wanted[80], found[80];
	shape_text(wanted, sizeof(wanted), n_dims, dim);
	shape_text(found, sizeof(found), t->n_dims, t->dim);
	if (t->n_dims != n_dims || memcmp(t->dim, dim, (size_t)n_dims * sizeof(*dim)) != 0)
		return err_set(e, "%s: tensor '%s' is %s, this model with this config wants %s", s->path, t->name,
		               found, wanted);
	return 0;
}

static int check_shape(const struct st_tensor *t, int n_dims, const size_t *dim, const struct safetensors *s,
                       struct err *e)
{
	if (check_dims(t, n_dims, dim, s, e) < 0)
		return -1;
	if (t->dtype == DTYPE_COUNT || !dtypes[t->dtype].to_float)
		return err_set(e, "%s: tensor '%s' is stored as %s; F32, F16 or BF16 was wanted", s->path, t->name,
		               t->dtype_name);
	return 0;
}

static int check_tensor(const struct adapter *a, size_t param, const struct safetensors *s, struct err *e)
{
	const struct param *p = &a->overlay.params.items[param];
	const struct st_tensor *t = st_find(s, p->name);
	char wanted[80];
	size_t dim[4];
	file_shape(a, param, dim);
	shape_text(wanted, sizeof(wanted), p->n_dims, dim);
	if (!t)
		return err_set(e, "%s: no tensor '%s'; this model with this config wants it, as %s", s->path, p->name,
		               wanted);
	return check_shape(t, p->n_dims, dim, s, e);
}

/* --- the numbers that are added to --- */

/* Whether something is added to the module: a parameter that is not the module saved whole begins with its name. */
static bool adds_to(const struct adapter *a, const char *module, size_t len)
{
	for (size_t i = 0; i < a->overlay.params.n_items; i++) {
		const struct param *p = &a->overlay.params.items[i];
		if (p->weight < 0 && !strncmp(p->name, PREFIX, strlen(PREFIX)) &&
		    !strncmp(p->name + strlen(PREFIX), module, len) && p->name[strlen(PREFIX) + len] == '.')
			return true;
	}
	return false;
}

/* The weight whose own numbers the tensor has, an embedding or a head that is added to; −1: none. */
static int base_of(const struct adapter *a, const struct model *m, const char *name)
{
	static const char end[] = ".base_layer.weight";
	size_t n = strlen(name), prefix = strlen(PREFIX);
	if (n <= prefix + strlen(end) || strncmp(name, PREFIX, prefix) != 0 || strcmp(name + n - strlen(end), end) != 0)
		return -1;
	size_t len = n - prefix - strlen(end);
	char *full = mem_printf("%.*s.weight", (int)len, name + prefix);
	int weight =
		m->config.tied && !strcmp(full, m->config.arch->head) ? model_head(m) : model_weight_by_name(m, full);
	mem_free(full);
	return weight >= 0 && (m->weights[weight].spec->flags & (WEIGHT_EMBED | WEIGHT_HEAD)) &&
	                       adds_to(a, name + prefix, len) ?
	               weight :
	               -1;
}

static int fill_base(struct adapter *a, const struct model *m, int weight, const struct st_tensor *t, struct err *e)
{
	size_t n = m->weights[weight].dim[0] * m->weights[weight].dim[1];
	float *w = arena_array(&a->mem, n, sizeof(*w));
	void *own;
	if (mem_map(&own, n * sizeof(float), t->name, e) < 0)
		return -1;
	dtypes[t->dtype].to_float(t->data, w, n);
	model_weight_float(m, weight, own);
	if (memcmp(own, w, n * sizeof(*w)) != 0)
		a->overlay.base[weight] = w;
	mem_unmap(own, n * sizeof(float));
	return 0;
}

/* --- reading and writing --- */

static bool same_tensor(const struct st_tensor *a, const struct st_tensor *b)
{
	return a->dtype == b->dtype && a->bytes == b->bytes && !memcmp(a->data, b->data, a->bytes);
}

/* A tied pair in the file: the second is there or not, but not different. */
static int check_pair(const struct adapter *a, const struct safetensors *s, struct err *e)
{
	const struct st_tensor *one, *two = a->tied_name ? st_find(s, a->tied_name) : NULL;
	if (!two)
		return 0;
	const char *name = a->overlay.params.items[a->tied].name;
	one = st_find(s, name);
	if (one && same_tensor(one, two))
		return 0;
	return err_set(e, "%s: '%s' and '%s' differ, and ensure_weight_tying makes the two one matrix", s->path, name,
	               a->tied_name);
}

/* What is not trained and is in the file all the same. */
static int check_fixed(const struct adapter *a, const struct safetensors *s, struct err *e)
{
	for (size_t i = 0; i < a->fixed_in_files; i++) {
		const struct param *p = &a->overlay.fixed.items[i];
		const struct st_tensor *t = st_find(s, p->name);
		if (!t)
			return err_set(e, "%s: no tensor '%s', which this config says is there", s->path, p->name);
		if ((a->fixed_whole ? check_dims : check_shape)(t, p->n_dims, p->dim, s, e) < 0)
			return -1;
		if (a->fixed_whole && t->dtype != DTYPE_I32)
			return err_set(e, "%s: tensor '%s' is stored as %s; I32 was wanted", s->path, t->name,
			               t->dtype_name);
	}
	return 0;
}

static bool is_fixed(const struct adapter *a, const char *name)
{
	int item = params_find(&a->overlay.fixed, name);

	return item >= 0 && (size_t)item < a->fixed_in_files;
}

static int check_known(const struct adapter *a, const struct model *m, const struct st_tensor *t,
                       const struct safetensors *s, struct err *e)
{
	if (is_fixed(a, t->name) || params_find(&a->overlay.params, t->name) >= 0 ||
	    (a->tied_name && !strcmp(t->name, a->tied_name)))
		return 0;
	int weight = base_of(a, m, t->name);
	if (weight >= 0)
		return check_shape(t, 2, m->weights[weight].dim, s, e);
	return err_set(e, "%s: tensor '%.200s' is for no module that this model has and this config names", s->path,
	               t->name);
}

int adapter_fit(const struct adapter *a, const struct model *m, const struct safetensors *s, struct err *e)
{
	for (size_t i = 0; i < a->overlay.params.n_items; i++)
		if (check_tensor(a, i, s, e) < 0)
			return -1;
	for (size_t i = 0; i < s->n_tensors; i++)
		if (check_known(a, m, &s->tensors[i], s, e) < 0)
			return -1;
	return check_fixed(a, s, e) < 0 ? -1 : check_pair(a, s, e);
}

/* rows × cols from [cols][rows]. */
static void transpose(float *out, const float *in, size_t rows, size_t cols)
{
	for (size_t r = 0; r < rows; r++)
		for (size_t c = 0; c < cols; c++)
			out[r * cols + c] = in[c * rows + r];
}

static int fill_param(const struct adapter *a, const struct model *m, size_t i, const struct safetensors *s,
                      struct err *e)
{
	const struct param *p = &a->overlay.params.items[i];
	const struct st_tensor *t = st_find(s, p->name);
	float *w = a->overlay.params.w + p->offset;
	if (a->place[i].transposed) {
		void *file;
		if (mem_map(&file, p->n * sizeof(float), p->name, e) < 0)
			return -1;
		dtypes[t->dtype].to_float(t->data, file, p->n);
		transpose(w, file, p->dim[0], p->dim[1]);
		mem_unmap(file, p->n * sizeof(float));
	} else {
		dtypes[t->dtype].to_float(t->data, w, p->n);
	}
	convert_param(m, p, a->place[i], w, false);
	return 0;
}

static void fill_fixed(struct adapter *a, const struct param *p, const struct safetensors *s)
{
	const struct st_tensor *t = st_find(s, p->name);
	float *w = a->overlay.fixed.w + p->offset;
	int32_t x;

	if (!a->fixed_whole)
		dtypes[t->dtype].to_float(t->data, w, p->n);
	for (size_t i = 0; i < p->n && a->fixed_whole; i++) {
		memcpy(&x, (const char *)t->data + i * sizeof(x), sizeof(x));
		w[i] = (float)x;
	}
}

int adapter_fill(struct adapter *a, const struct model *m, const struct safetensors *s, struct err *e)
{
	for (size_t i = 0; i < a->overlay.params.n_items; i++)
		if (fill_param(a, m, i, s, e) < 0)
			return -1;
	for (size_t i = 0; i < a->fixed_in_files; i++)
		fill_fixed(a, &a->overlay.fixed.items[i], s);
	for (size_t i = 0; i < s->n_tensors; i++) {
		int weight = base_of(a, m, s->tensors[i].name);
		if (weight >= 0 && fill_base(a, m, weight, &s->tensors[i], e) < 0)
			return -1;
	}
	return 0;
}

struct writing {
	const struct adapter *a;
	const struct model *m;
	const int *param; /* [n] tensors of the file; those after them are of overlay.fixed */
	size_t n;
};

static void write_whole(const struct writing *x, size_t i, int32_t *out)
{
	const struct params *f = &x->a->overlay.fixed;

	for (size_t k = 0; k < f->items[i].n; k++)
		out[k] = (int32_t)f->w[f->items[i].offset + k];
}

/* A parameter that files have in another order, or whole numbers. */
static void write_param(void *ctx, size_t i, void *out)
{
	const struct writing *x = ctx;
	if (i >= x->n) {
		write_whole(x, i - x->n, out);
		return;
	}
	const struct param *p = &x->a->overlay.params.items[x->param[i]];
	struct file_layout place = x->a->place[x->param[i]];
	const float *w = x->a->overlay.params.w + p->offset;

	if (place.transposed && p->weight < 0) { /* its own rows are put in order, not the file's */
		float *rows = mem_array(p->n, sizeof(*rows));
		memcpy(rows, w, p->n * sizeof(*rows));
		convert_param(x->m, p, place, rows, true);
		transpose(out, rows, p->dim[1], p->dim[0]);
		mem_free(rows);
		return;
	}
	if (place.transposed)
		transpose(out, w, p->dim[1], p->dim[0]);
	else
		memcpy(out, w, p->n * sizeof(float));
	convert_param(x->m, p, place, out, true);
}

static void describe(struct st_tensor *t, const struct writing *x, const char *name, int param)
{
	const struct param *p = &x->a->overlay.params.items[param];
	*t = (struct st_tensor){ .name = name, .dtype = DTYPE_F32, .n_dims = p->n_dims, .bytes = p->n * sizeof(float) };
	file_shape(x->a, (size_t)param, t->dim);
	struct file_layout place = x->a->place[param];
	if (!place.transposed && !has_permuted_keys(x->m, place) && !weight_is_converted(x->m, place.rows_of))
		t->data = x->a->overlay.params.w + p->offset;
}

/* PEFT has no place for what the labels are; the tensors' metadata have one. */
static size_t describe_labels(struct st_meta *meta, struct arena *mem, const struct labels *l)
{
	json_t *j = labels_json(l);
	char *names = jsonx_line(json_object_get(j, "id2label"));

	meta[0] = (struct st_meta){ "id2label", arena_strdup(mem, names) };
	meta[1] = (struct st_meta){ "problem_type", problem_name(l->problem) };
	mem_free(names);
	json_decref(j);
	return 2;
}

/* And none for how the base was quantized as it was read. */
static size_t describe_base(struct st_meta *meta, struct arena *mem, const struct model *m)
{
	const char *config = four_bit_config(m, mem);

	if (config)
		*meta = (struct st_meta){ BASE_CONFIG, config };
	return config != NULL;
}

static void describe_fixed(struct st_tensor *t, const struct adapter *a, size_t i)
{
	const struct param *p = &a->overlay.fixed.items[i];

	*t = (struct st_tensor){ .name = p->name, .dtype = a->fixed_whole ? DTYPE_I32 : DTYPE_F32,
		                 .n_dims = p->n_dims, .bytes = p->n * sizeof(float),
		                 .data = a->fixed_whole ? NULL : a->overlay.fixed.w + p->offset };
	memcpy(t->dim, p->dim, sizeof(t->dim));
}

/* All but a head that is apart, or that alone. */
static int save_weights(const struct adapter *a, const struct model *m, const char *path, bool head, struct err *e)
{
	struct st_meta meta[4] = { { "format", "pt" } };
	struct arena mem = ARENA_INIT;
	size_t all = a->overlay.params.n_items + (a->tied_name != NULL), n = 0, fixed = head ? 0 : a->fixed_in_files;
	struct st_tensor *t = arena_array(&mem, all + fixed, sizeof(*t));
	int *param = arena_array(&mem, all, sizeof(*param));
	struct writing x = { .a = a, .m = m, .param = param };
	for (size_t i = 0; i < all; i++) {
		bool second = i == a->overlay.params.n_items;
		int p = second ? a->tied : (int)i;
		if (head_file_owns(a, m, &a->overlay.params.items[p]) != head)
			continue;
		param[n] = p;
		describe(&t[n++], &x, second ? a->tied_name : a->overlay.params.items[i].name, p);
	}
	x.n = n;
	for (size_t i = 0; i < fixed; i++)
		describe_fixed(&t[n + i], a, i);
	bool labels = m->labels && head == a->type->head_apart;
	size_t n_meta = 1 + (labels ? describe_labels(&meta[1], &mem, m->labels) : 0);
	n_meta += describe_base(&meta[n_meta], &mem, m);
	int status = st_write(path, t, n + fixed, meta, n_meta, write_param, &x, e);
	arena_release(&mem);
	return status;
}

static int save_head(const struct adapter *a, const struct model *m, const char *dir, struct err *e)
{
	char *weights = io_join(dir, head_file);
	int status = head_file_save_config(a, m, dir, e) < 0 ? -1 : save_weights(a, m, weights, true, e);

	mem_free(weights);
	return status;
}

/* The weights come last: a folder that has them is whole. */
static int save_folder(const struct adapter *a, const struct model *m, const char *dir, struct err *e)
{
	char *config = io_join(dir, CONFIG), *weights = io_join(dir, a->type->file ? a->type->file : WEIGHTS);
	int status = io_mkdirs(dir, e);
	if (status == 0)
		status = jsonx_write_file(config, a->config, e);
	if (status == 0 && m->labels && a->type->head_apart)
		status = save_head(a, m, dir, e);
	if (status == 0)
		status = save_weights(a, m, weights, false, e);
	mem_free(config);
	mem_free(weights);
	return status;
}

int adapter_save(const struct adapter *a, const struct model *m, const char *dir, struct err *e)
{
	struct adapter flat;
	int made = a->type->flatten ? a->type->flatten(a, m, &flat, e) : 1;

	if (made < 0)
		return -1;
	char *under = io_join(dir, PARENT_FOLDER);
	int status = a->parent ? adapter_save(a->parent, m, under, e) : 0;
	if (status == 0)
		status = save_folder(made ? a : &flat, m, dir, e);
	mem_free(under);
	if (!made)
		adapter_release(&flat);
	return status;
}

/* The weights beside a config: of its type's name, safetensors before torch.save's. */
static int open_weights(struct safetensors *s, json_t *config, const char *dir, struct err *e)
{
	const struct adapter_type *type = adapter_type_of(config);
	bool own = type && type->file;
	char *weights = io_join(dir, own ? type->file : WEIGHTS);
	char *bin = io_join(dir, own ? type->old_file : "adapter_model.bin");
	int status = !io_exists(weights) && io_exists(bin) ? pytorch_open(s, bin, e) : st_open(s, weights, e);

	if (status == 0 && type && type->head_apart)
		status = head_file_read(s, config, dir, e);
	mem_free(weights);
	mem_free(bin);
	return status;
}

int peft_folder_open(json_t **config, struct safetensors *s, const char *dir, struct err *e)
{
	char *path = io_join(dir, CONFIG);
	int status = -1;
	*config = NULL;
	if (!io_is_dir(dir) || !io_exists(path))
		err_set(e, "%s: no adapter: a folder with %s and %s, or a GGUF file, was wanted",
		        *dir ? dir : "an empty name", CONFIG, WEIGHTS);
	else if ((*config = jsonx_load_file(path, e)) && json_is_object(*config))
		status = open_weights(s, *config, dir, e);
	else if (*config)
		err_set(e, "%s: not a JSON object", path);
	mem_free(path);
	return status;
}
