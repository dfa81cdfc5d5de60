/* adapter: what all types share: making, PEFT's folder, modules saved whole, the order of rows.
 *
 * A file made from a Hugging Face model and one made from a GGUF are the same: parameters are kept in the order of rows
 * that the model's own weights have, so that attention needs no line for adapters, and q's and k's rows are put into
 * Hugging Face's order on the way out and back on the way in. GPT-2's Conv1D weights, [out][in] here, are [in][out] in
 * files of modules saved whole.
 *
 * Saving the embedding or the head of a tied model whole parts the two, as in PEFT: each that is named is a parameter
 * of its own, the other stays what it was. With ensure_weight_tying naming one means both: one parameter, written under
 * both names.
 *
 * Beside what is added to an embedding or a head PEFT saves that matrix itself (….base_layer.weight), and reading it
 * back replaces the model's. Here too; it is never written, which PEFT calls save_embedding_layers=False. */
#include "adapt/adapter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adapt/gguf_adapter.h"
#include "adapt/target_modules.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "model/weights.h"

static const char PREFIX[] = "base_model.model.", CONFIG[] = "adapter_config.json",
		  WEIGHTS[] = "adapter_model.safetensors";

/* A parameter's numbers, in place, between those that are kept and those of files: a weight saved whole is what the
 * model's own would be there, of others rows alone may lie otherwise. */
static void convert_param(const struct model *m, const struct param *p, int rows_of, float *w, bool to_hf)
{
	if (p->weight >= 0)
		weight_convert(m, p->weight, w, to_hf);
	else if (weight_is_permuted(m, rows_of))
		weight_permute_rows(w, p->dim[0], p->n / p->dim[0], (size_t)m->config.D, to_hf);
}

/* --- parameters --- */

int adapter_param(struct adapter *a, const char *name, int n_dims, const size_t *dim, int weight,
                  struct file_layout place)
{
	size_t n = a->overlay.params.n_items;
	if ((n & (n - 1)) == 0) { /* full at powers of two */
		struct file_layout *more = arena_array(&a->mem, 2 * n + 1, sizeof(*more));
		if (n)
			memcpy(more, a->place, n * sizeof(*more));
		a->place = more;
	}
	a->place[n] = place;
	return params_add(&a->overlay.params, name, n_dims, dim, weight);
}

static bool list_saves(const json_t *modules, const char *module)
{
	size_t i;
	json_t *entry;
	json_array_foreach(modules, i, entry)
		if (target_saves(json_string_value(entry), module))
			return true;
	return false;
}

static int check_entries(const struct model *m, const json_t *modules, struct err *e)
{
	struct arena mem = ARENA_INIT;
	size_t i;
	json_t *entry;
	int status = 0;
	json_array_foreach(modules, i, entry) {
		const char *name = json_string_value(entry);
		bool used = m->config.tied && name && target_saves(name, weight_module(&mem, m->config.arch->head));
		for (size_t j = 0; j < m->n_weights && !used; j++)
			used = target_saves(name, weight_module(&mem, m->weights[j].name));
		if (!used && status == 0)
			status = err_set(e,
			                 "modules_to_save: there is no module '%.80s' in this model; it has %s, %s and "
			                 "the linears %s",
			                 name ? name : "", weight_module(&mem, m->config.arch->embedding),
			                 weight_module(&mem, m->config.arch->head), target_names(&mem, m));
	}
	arena_release(&mem);
	return status;
}

/* The weight's own parameter under a name; GPT-2's Conv1D are transposed in files. */
static int own_param(struct adapter *a, const struct model *m, const char *name, int weight)
{
	const struct weight *w = &m->weights[weight];
	struct file_layout place = { .rows_of = weight,
		                   .transposed = w->n_dims == 2 && (w->spec->flags & WEIGHT_TRANSPOSED) };
	int param = adapter_param(a, arena_printf(&a->mem, "%s%s", PREFIX, name), w->n_dims, w->dim, weight, place);
	a->overlay.params.items[param].role = weight_role(w);
	return param;
}

static void save_whole(struct adapter *a, const struct model *m, int weight)
{
	a->overlay.replaced[weight] = own_param(a, m, m->weights[weight].name, weight);
}

/* What becomes of a tied model's head, which is no weight of its own. */
static void save_head(struct adapter *a, const struct model *m, bool head, bool embedding)
{
	int weight = model_head(m);
	if (json_is_true(json_object_get(a->config, "ensure_weight_tying"))) {
		if (!embedding)
			save_whole(a, m, weight);
		a->tied_name = arena_printf(&a->mem, "%s%s", PREFIX, m->config.arch->head);
	} else {
		a->overlay.head = head ? own_param(a, m, m->config.arch->head, weight) : HEAD_OF_MODEL;
	}
}

int adapter_add_saved(struct adapter *a, const struct model *m, const json_t *modules, struct err *e)
{
	if (modules && !json_is_null(modules) && !json_is_array(modules))
		return err_set(e, "modules_to_save is no list of names");
	if (json_array_size(modules) == 0)
		return 0;
	if (check_entries(m, modules, e) < 0)
		return -1;
	for (size_t i = 0; i < m->n_weights; i++)
		if (list_saves(modules, weight_module(&a->mem, m->weights[i].name)))
			save_whole(a, m, (int)i);
	bool head = list_saves(modules, weight_module(&a->mem, m->config.arch->head)),
	     embedding = list_saves(modules, weight_module(&a->mem, m->config.arch->embedding));
	if (m->config.tied && (head || embedding))
		save_head(a, m, head, embedding);
	return 0;
}

int adapter_seal(struct adapter *a, const struct model *m, struct err *e)
{
	a->overlay.ctx = a->own;
	if (params_seal(&a->overlay.params, e) < 0)
		return -1;
	for (size_t i = 0; i < a->overlay.params.n_items; i++) {
		const struct param *p = &a->overlay.params.items[i];
		if (p->weight < 0)
			continue;
		model_weight_float(m, p->weight, a->overlay.params.w + p->offset);
		weight_convert(m, p->weight, a->overlay.params.w + p->offset, false);
	}
	return 0;
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

static int check_shape(const struct st_tensor *t, int n_dims, const size_t *dim, const struct safetensors *s,
                       struct err *e)
{
	char wanted[80], found[80];
	shape_text(wanted, sizeof(wanted), n_dims, dim);
	shape_text(found, sizeof(found), t->n_dims, t->dim);
	if (t->n_dims != n_dims || memcmp(t->dim, dim, (size_t)n_dims * sizeof(*dim)) != 0)
		return err_set(e, "%s: tensor '%s' is %s, this model with this config wants %s", s->path, t->name,
		               found, wanted);
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

/* The model's own numbers, or those that the file brought. */
static void base_float(const struct adapter *a, const struct model *m, int weight, float *out)
{
	const float *base = a->overlay.base[weight];
	const struct weight *w = &m->weights[weight];

	if (base)
		memcpy(out, base, w->dim[0] * w->dim[1] * sizeof(*out));
	else
		model_weight_float(m, weight, out);
}

/* --- reading and writing --- */

static bool same_tensor(const struct st_tensor *a, const struct st_tensor *b)
{
	return a->dtype == b->dtype && a->bytes == b->bytes && !memcmp(a->data, b->data, a->bytes);
}

/* The parameter that is embedding and head both. */
static int tied_param(const struct adapter *a, const struct model *m)
{
	return a->tied_name ? a->overlay.replaced[model_head(m)] : -1;
}

/* A tied pair in the file: the second is there or not, but not different. */
static int check_pair(const struct adapter *a, const struct model *m, const struct safetensors *s, struct err *e)
{
	const struct st_tensor *one, *two = a->tied_name ? st_find(s, a->tied_name) : NULL;
	if (!two)
		return 0;
	const char *name = a->overlay.params.items[tied_param(a, m)].name;
	one = st_find(s, name);
	if (one && same_tensor(one, two))
		return 0;
	return err_set(e, "%s: '%s' and '%s' differ, and ensure_weight_tying makes the two one matrix", s->path, name,
	               a->tied_name);
}

static int check_known(const struct adapter *a, const struct model *m, const struct st_tensor *t,
                       const struct safetensors *s, struct err *e)
{
	if (params_find(&a->overlay.params, t->name) >= 0 || (a->tied_name && !strcmp(t->name, a->tied_name)))
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
	return check_pair(a, m, s, e);
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
	convert_param(m, p, a->place[i].rows_of, w, false);
	return 0;
}

int adapter_fill(struct adapter *a, const struct model *m, const struct safetensors *s, struct err *e)
{
	for (size_t i = 0; i < a->overlay.params.n_items; i++)
		if (fill_param(a, m, i, s, e) < 0)
			return -1;
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
	const int *param; /* [tensors of the file] */
};

/* A parameter that files have in another order. */
static void write_param(void *ctx, size_t i, void *out)
{
	const struct writing *x = ctx;
	const struct param *p = &x->a->overlay.params.items[x->param[i]];
	struct file_layout place = x->a->place[x->param[i]];
	const float *w = x->a->overlay.params.w + p->offset;

	if (place.transposed)
		transpose(out, w, p->dim[1], p->dim[0]);
	else
		memcpy(out, w, p->n * sizeof(float));
	convert_param(x->m, p, place.rows_of, out, true);
}

static void describe(struct st_tensor *t, const struct writing *x, const char *name, int param)
{
	const struct param *p = &x->a->overlay.params.items[param];
	*t = (struct st_tensor){ .name = name, .dtype = DTYPE_F32, .n_dims = p->n_dims, .bytes = p->n * sizeof(float) };
	file_shape(x->a, (size_t)param, t->dim);
	if (!x->a->place[param].transposed && !weight_is_converted(x->m, x->a->place[param].rows_of))
		t->data = x->a->overlay.params.w + p->offset;
}

static int save_weights(const struct adapter *a, const struct model *m, const char *path, struct err *e)
{
	static const struct st_meta meta = { "format", "pt" };
	struct arena mem = ARENA_INIT;
	size_t n = a->overlay.params.n_items + (a->tied_name != NULL);
	struct st_tensor *t = arena_array(&mem, n, sizeof(*t));
	int *param = arena_array(&mem, n, sizeof(*param));
	struct writing x = { .a = a, .m = m, .param = param };
	for (size_t i = 0; i < n; i++) {
		bool second = i == a->overlay.params.n_items;
		param[i] = second ? tied_param(a, m) : (int)i;
		describe(&t[i], &x, second ? a->tied_name : a->overlay.params.items[i].name, param[i]);
	}
	int status = st_write(path, t, n, &meta, 1, write_param, &x, e);
	arena_release(&mem);
	return status;
}

/* The weights come last: a folder that has them is whole. */
int adapter_save(const struct adapter *a, const struct model *m, const char *dir, struct err *e)
{
	char *config = io_join(dir, CONFIG), *weights = io_join(dir, WEIGHTS);
	int status = io_mkdirs(dir, e);
	if (status == 0)
		status = jsonx_write_file(config, a->config, e);
	if (status == 0)
		status = save_weights(a, m, weights, e);
	mem_free(config);
	mem_free(weights);
	return status;
}

/* --- life --- */

void adapter_begin(struct adapter *a, const struct model *m, const struct adapter_type *type)
{
	*a = (struct adapter){ .type = type };
	overlay_init(&a->overlay, m);
	a->overlay.hooks = type->hooks;
}

bool adapter_rows(size_t i, struct opt_row *out)
{
	const struct adapter_type *t = adapter_type_table[i];
	if (t)
		*out = (struct opt_row){ .name = t->name,
			                 .summary = t->summary,
			                 .standard = t->standard,
			                 .opts = t->opts,
			                 .options_size = t->options_size };
	return t;
}

const struct adapter_type *adapter_standard(void)
{
	for (size_t i = 0; adapter_type_table[i]; i++)
		if (adapter_type_table[i]->standard)
			return adapter_type_table[i];
	BUG("no adapter type is the standard one");
}

int adapter_new(struct adapter *a, const struct adapter_type *type, const struct model *m, const void *options,
                uint64_t seed, struct err *e)
{
	adapter_begin(a, m, type);
	if (type->attach(a, m, options, seed, e) == 0)
		return 0;
	adapter_release(a);
	return -1;
}

int adapter_new_named(struct adapter *a, const char *type, const struct model *m, const char *const *options,
                      uint64_t seed, struct err *e)
{
	static const struct opt none[] = { OPT_END };
	struct opt_row row;
	struct opt_parse p;
	size_t i;
	int status = 0;
	*a = (struct adapter){ 0 };
	if (!opt_row_find(adapter_rows, type, &row, &i))
		return err_set(e, "there is no adapter type '%s'", type);
	void *own = mem_alloc(row.options_size);
	opt_begin(&p, row.opts ? row.opts : none, own, e);
	for (; *options && status == 0; options += 2)
		status = opt_assign(&p, options[0], options[1], e);
	if (status == 0)
		status = adapter_new(a, adapter_type_table[i], m, own, seed, e);
	opt_release(&p);
	mem_free(own);
	return status;
}

const struct adapter_type *adapter_type_of(const json_t *config)
{
	const char *name = json_string_value(json_object_get(config, "peft_type"));

	for (size_t i = 0; name && adapter_type_table[i]; i++)
		if (!strcmp(adapter_type_table[i]->peft_type, name))
			return adapter_type_table[i];
	return NULL;
}

static const struct adapter_type *type_of(const json_t *config, const char *dir, struct err *e)
{
	const char *name = json_string_value(json_object_get(config, "peft_type"));
	const struct adapter_type *type = adapter_type_of(config);

	if (!type)
		err_set(e, "%s/%s: peft_type is %s, which this program does not do", dir, CONFIG,
		        name ? name : "not there");
	return type;
}

static int open_folder(json_t **config, struct safetensors *s, const char *dir, struct err *e)
{
	char *path = io_join(dir, CONFIG), *weights = io_join(dir, WEIGHTS), *bin = io_join(dir, "adapter_model.bin");
	int status = -1;
	*config = NULL;
	if (!io_is_dir(dir) || !io_exists(path))
		err_set(e, "%s: no adapter: a folder with %s and %s, or a GGUF file, was wanted", dir, CONFIG, WEIGHTS);
	else if (!io_exists(weights) && io_exists(bin))
		err_set(e, "%s: the weights are in adapter_model.bin; %s was wanted (PEFT's save_pretrained writes it)",
		        dir, WEIGHTS);
	else if ((*config = jsonx_load_file(path, e)) && json_is_object(*config))
		status = st_open(s, weights, e);
	else if (*config)
		err_set(e, "%s: not a JSON object", path);
	mem_free(path);
	mem_free(weights);
	mem_free(bin);
	return status;
}

int adapter_load(struct adapter *a, const char *dir, const struct model *m, struct err *e)
{
	json_t *config;
	struct safetensors s = { 0 };
	*a = (struct adapter){ 0 };
	int status =
		gguf_adapter_is(dir) ? gguf_adapter_open(&config, &s, dir, m, e) : open_folder(&config, &s, dir, e);
	const struct adapter_type *type = status == 0 ? type_of(config, dir, e) : NULL;
	if (type) {
		adapter_begin(a, m, type);
		status = type->load(a, m, config, &s, dir, e);
		if (status < 0)
			adapter_release(a);
	}
	st_close(&s);
	json_decref(config);
	return type ? status : -1;
}

void adapter_merged(const struct adapter *a, const struct model *m, int weight, float *w)
{
	int replaced = a->overlay.replaced[weight];
	if (replaced >= 0) {
		const struct param *p = &a->overlay.params.items[replaced];
		memcpy(w, a->overlay.params.w + p->offset, p->n * sizeof(*w));
		weight_convert(m, weight, w, true);
		return;
	}
	base_float(a, m, weight, w);
	a->type->merge(a, m, weight, w);
}

bool adapter_unties(const struct adapter *a) { return a->overlay.head != HEAD_AS_EMBEDDING || a->parts; }

void adapter_merged_head(const struct adapter *a, const struct model *m, float *w)
{
	const struct param *p = a->overlay.head >= 0 ? &a->overlay.params.items[a->overlay.head] : NULL;
	if (p)
		memcpy(w, a->overlay.params.w + p->offset, p->n * sizeof(*w));
	else
		base_float(a, m, model_head(m), w);
	a->type->merge(a, m, (int)m->n_weights, w);
}

void adapter_release(struct adapter *a)
{
	overlay_release(&a->overlay);
	json_decref(a->config);
	arena_release(&a->mem);
	*a = (struct adapter){ 0 };
}
