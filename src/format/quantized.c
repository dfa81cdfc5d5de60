/* quantized: matrices of GPTQ, AWQ, bitsandbytes and 8-bit floats as plain ones. See quantized.h. */
#include "format/quantized.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "quant/nf4.h"

enum { GROWTH_MAX = 8 /* bytes of memory for one of a file: 4 bits become 16 */ };
enum method { NONE, GPTQ, AWQ, FLOAT8, FLOAT4 };

struct form {
	enum method method;
	const char *name;
	int bits, group;             /* group ≤ 0: one of all inputs */
	bool zeros_as_they_are;
	size_t tile[2];              /* of 8-bit floats: rows and columns that share a scale; 0: as the scales say */
};

static const char NOT_READ[] =
	"read are gptq of 4 and 8 bits, awq of 4 bits, bitsandbytes of 4 bits, fp8, and compressed-tensors' "
	"float-quantized";

/* --- quantization_config --- */

static int refuse(const char *where, const char *key, const json_t *value, struct err *e)
{
	char *text = value ? jsonx_line(value) : mem_strdup("missing");

	err_set(e, "%s: quantization_config's %s is %.60s; %s", where, key, text, NOT_READ);
	mem_free(text);
	return -1;
}

static int whole(const json_t *j, const char *key, int init)
{
	const json_t *x = json_object_get(j, key);

	return json_is_integer(x) ? (int)MAX(MIN(json_integer_value(x), INT_MAX), -1) : init;
}

static bool says(const json_t *j, const char *key, const char *word)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text && !strcmp(text, word);
}

static int read_gptq(struct form *f, const json_t *j, const char *where, struct err *e)
{
	*f = (struct form){ GPTQ, "GPTQ", whole(j, "bits", 0), whole(j, "group_size", -1),
		            says(j, "checkpoint_format", "gptq_v2"), { 0 } };
	if (f->bits != 4 && f->bits != 8)
		return refuse(where, "bits", json_object_get(j, "bits"), e);
	const json_t *format = json_object_get(j, "checkpoint_format");
	if (json_is_string(format) && !says(j, "checkpoint_format", "gptq") && !f->zeros_as_they_are)
		return refuse(where, "checkpoint_format", format, e);
	return 0;
}

static int read_awq(struct form *f, const json_t *j, const char *where, struct err *e)
{
	*f = (struct form){ AWQ, "AWQ", whole(j, "bits", whole(j, "w_bit", 0)),
		            whole(j, "group_size", whole(j, "q_group_size", -1)), true, { 0 } };
	if (f->bits != 4)
		return refuse(where, "bits", json_object_get(j, "bits"), e);
	const json_t *version = json_object_get(j, "version");
	if (json_is_string(version) && strcasecmp(json_string_value(version), "gemm"))
		return refuse(where, "version", version, e);
	return 0;
}

static int read_float8(struct form *f, const json_t *j, const char *where, struct err *e)
{
	const json_t *tile = json_object_get(j, "weight_block_size");

	*f = (struct form){ FLOAT8, "8-bit floats", 8, 0, false, { 0 } };
	if (says(j, "quant_method", "compressed-tensors") && !says(j, "format", "float-quantized") &&
	    !says(j, "format", "naive-quantized"))
		return refuse(where, "format", json_object_get(j, "format"), e);
	for (size_t i = 0; i < 2 && json_array_size(tile) == 2; i++) {
		if (!json_is_integer(json_array_get(tile, i)) || json_integer_value(json_array_get(tile, i)) < 1)
			return refuse(where, "weight_block_size", tile, e);
		f->tile[i] = (size_t)json_integer_value(json_array_get(tile, i));
	}
	return 0;
}

static int read_float4(struct form *f, const json_t *j, const char *where, struct err *e)
{
	const json_t *storage = json_object_get(j, "bnb_4bit_quant_storage");

	*f = (struct form){ FLOAT4, "bitsandbytes", 4, 0, false, { 0 } };
	if (!json_is_true(json_object_get(j, "load_in_4bit")))
		return refuse(where, "load_in_4bit", json_object_get(j, "load_in_4bit"), e);
	return storage && !says(j, "bnb_4bit_quant_storage", "uint8") ?
	               refuse(where, "bnb_4bit_quant_storage", storage, e) :
	               0;
}

static int read_form(struct form *f, const json_t *j, const char *where, struct err *e)
{
	*f = (struct form){ NONE };
	if (!json_is_object(j) || json_object_size(j) == 0)
		return 0;
	if (says(j, "quant_method", "gptq"))
		return read_gptq(f, j, where, e);
	if (says(j, "quant_method", "awq"))
		return read_awq(f, j, where, e);
	if (says(j, "quant_method", "bitsandbytes"))
		return read_float4(f, j, where, e);
	if (says(j, "quant_method", "fp8") || says(j, "quant_method", "compressed-tensors"))
		return read_float8(f, j, where, e);
	return refuse(where, "quant_method", json_object_get(j, "quant_method"), e);
}

int quantized_check(const json_t *quantization_config, const char *where, struct err *e)
{
	struct form f;

	return read_form(&f, quantization_config, where, e);
}

/* --- tensors of the files --- */

struct parts {
	struct source *s;
	const struct form *form;
	struct source_tensor *all;   /* [n] of the files */
	bool *used;                  /* what others were made of */
	size_t n;
	struct source_tensor *made;
	size_t n_made, bytes;
	struct err *e;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct source_tensor *)a)->name, ((const struct source_tensor *)b)->name);
}

/* "stem" + "end" among the files' tensors, which is used then; NULL. */
static const struct source_tensor *take(struct parts *p, const char *stem, const char *end)
{
	char *name = mem_printf("%s%s", stem, end);
	struct source_tensor key = { .name = name };
	struct source_tensor *found = bsearch(&key, p->all, p->n, sizeof(key), by_name);

	mem_free(name);
	if (found)
		p->used[found - p->all] = true;
	return found;
}

/* A name without its end, in the source's memory; NULL: it has another end. */
static char *stem_of(struct parts *p, const char *name, const char *end)
{
	size_t n = text_stem(name, end);

	return n ? arena_strndup(&p->s->mem, name, n) : NULL;
}

static int wrong(struct parts *p, const char *stem, const char *what)
{
	return err_set(p->e, "%s: %s of %s's matrix %.120s %s", p->s->path, p->form->name, "the model", stem, what);
}

static bool is_int32(const struct source_tensor *t, int dims)
{
	return t && t->n_dims == dims && t->dtype == DTYPE_I32;
}

static bool is_real(const struct source_tensor *t)
{
	return t && t->dtype != DTYPE_COUNT && dtypes[t->dtype].to_float && dtypes[t->dtype].block == 1;
}

static int add_made(struct parts *p, const char *stem, enum dtype dtype, size_t rows, size_t cols, void **out)
{
	struct source_tensor *t = &p->made[p->n_made];
	size_t bytes;

	if (!size_mul(rows, cols, &bytes) || !size_mul(bytes, dtypes[DTYPE_F32].bytes, &bytes) ||
	    !size_mul(rows, dtype_row_bytes(dtype, cols), &bytes))
		return wrong(p, stem, "is larger than an address can count");
	if (p->bytes + bytes > GROWTH_MAX * source_bytes(p->s)) /* tensors of a .bin may be the same bytes */
		return wrong(p, stem, "would need more memory than the bytes of its files could fill");
	*t = (struct source_tensor){ .name = arena_printf(&p->s->mem, "%s.weight", stem), .dtype = dtype, .n_dims = 2,
		                     .dim = { rows, cols }, .bytes = bytes, .dtype_name = dtypes[dtype].name };
	if (mem_map(out, MAX(bytes, (size_t)1), t->name, p->e) < 0)
		return -1;
	t->data = *out;
	p->n_made++;
	p->bytes += bytes;
	return 0;
}

/* --- GPTQ and AWQ --- */

struct packed {
	const uint32_t *q, *z, *index;   /* index: the group of an input, NULL: in order */
	const float *scale;              /* [groups][out] */
	size_t in, out, groups, group;
	int bits;
	unsigned add, mask;              /* to a stored zero */
	bool awq;
};

static unsigned at_bits(const uint32_t *words, size_t i, int bits, unsigned mask)
{
	size_t each = (size_t)(32 / bits);

	return words[i / each] >> (i % each * (size_t)bits) & mask;
}

/* Number i of a row of AWQ's words. */
static unsigned at_awq(const uint32_t *words, size_t i)
{
	static const unsigned place[8] = { 0, 4, 1, 5, 2, 6, 3, 7 };

	return words[i / 8] >> (4 * place[i % 8]) & 15;
}

static unsigned zero_at(const struct packed *x, size_t g, size_t o)
{
	size_t words = x->out * (size_t)x->bits / 32;

	if (x->awq)
		return at_awq(x->z + g * words, o);
	return (at_bits(x->z + g * words, o, x->bits, x->mask) + x->add) & x->mask;
}

static unsigned number_at(const struct packed *x, size_t i, size_t o)
{
	size_t each = (size_t)(32 / x->bits);

	if (x->awq)
		return at_awq(x->q + i * (x->out / 8), o);
	return x->q[i / each * x->out + o] >> (i % each * (size_t)x->bits) & x->mask;
}

static void unpack(const struct packed *x, uint16_t *w)
{
	enum { TILE = 32 };

	for (size_t o0 = 0; o0 < x->out; o0 += TILE)
		for (size_t i = 0; i < x->in; i++) {
			size_t g = x->index ? x->index[i] : i / x->group;
			for (size_t o = o0; o < MIN(o0 + TILE, x->out); o++) {
				float d = (float)((int)number_at(x, i, o) - (int)zero_at(x, g, o));
				w[o * x->in + i] = f16_from_float(d * x->scale[g * x->out + o]);
			}
		}
}

/* Shapes that fit each other, and groups that are there. */
static int read_packed(struct parts *p, const char *stem, struct packed *x, struct arena *mem)
{
	const struct source_tensor *q = take(p, stem, ".qweight"), *z = take(p, stem, ".qzeros"),
	                           *s = take(p, stem, ".scales"), *index = take(p, stem, ".g_idx");
	size_t each = (size_t)(32 / p->form->bits);
	bool awq = p->form->method == AWQ;

	if (!is_int32(q, 2) || !is_int32(z, 2) || !is_real(s) || s->n_dims != 2)
		return wrong(p, stem, "has no proper qweight, qzeros and scales");
	*x = (struct packed){ .q = q->data, .z = z->data, .in = q->dim[0] * (awq ? 1 : each),
		              .out = q->dim[1] * (awq ? each : 1), .groups = s->dim[0], .bits = p->form->bits,
		              .add = p->form->zeros_as_they_are ? 0 : 1, .mask = (1u << p->form->bits) - 1,
		              .awq = awq };
	x->group = p->form->group > 0 ? (size_t)p->form->group : MAX(x->in, (size_t)1);
	if (s->dim[1] != x->out || z->dim[0] != x->groups || z->dim[1] * each != x->out || x->out == 0 ||
	    x->in == 0 || (x->in + x->group - 1) / x->group > x->groups)
		return wrong(p, stem, "has qweight, qzeros and scales that do not fit each other and group_size");
	if (index && !awq) {
		if (!is_int32(index, 1) || index->dim[0] != x->in)
			return wrong(p, stem, "has a g_idx that is no number for each input");
		x->index = index->data;
		for (size_t i = 0; i < x->in; i++)
			if (x->index[i] >= x->groups)
				return wrong(p, stem, "has a g_idx beyond its groups");
	}
	float *scale = arena_array(mem, x->groups * x->out, sizeof(*scale));
	dtypes[s->dtype].to_float(s->data, scale, x->groups * x->out);
	x->scale = scale;
	return 0;
}

static int make_packed(struct parts *p, const char *name)
{
	struct arena mem = ARENA_INIT;
	char *stem = stem_of(p, name, ".qweight");
	struct packed x = { 0 };
	void *w;

	if (!stem)
		return 0;
	int status = read_packed(p, stem, &x, &mem);
	if (status == 0)
		status = add_made(p, stem, DTYPE_F16, x.out, x.in, &w);
	if (status == 0)
		unpack(&x, w);
	arena_release(&mem);
	return status;
}

/* --- 8-bit floats --- */

/* Rows and columns that share a scale: all, a row, or a tile. */
static int find_tile(struct parts *p, const char *stem, const struct source_tensor *w, const struct source_tensor *s,
                     size_t tile[2])
{
	size_t n = 1;

	for (int i = 0; i < s->n_dims; i++)
		n *= s->dim[i];
	tile[0] = MAX(w->dim[0], (size_t)1);
	tile[1] = MAX(w->dim[1], (size_t)1);
	if (n == 1)
		return 0;
	if (s->dim[0] == w->dim[0] && n == w->dim[0]) {
		tile[0] = 1;
		return 0;
	}
	for (int i = 0; i < 2; i++) {
		tile[i] = p->form->tile[i] ? p->form->tile[i] : 128;
		if (s->n_dims != 2 || s->dim[i] != (w->dim[i] + tile[i] - 1) / tile[i])
			return wrong(p, stem, "has scales for other rows, columns or tiles than it is of");
	}
	return 0;
}

static void scale_rows(const struct source_tensor *w, const float *scale, size_t across, const size_t tile[2],
                       uint16_t *out)
{
	float part[256];

	for (size_t r = 0; r < w->dim[0]; r++)
		for (size_t c = 0, n; c < w->dim[1]; c += n) {
			n = MIN(w->dim[1] - c, ARRAY_LEN(part));
			dtypes[w->dtype].part((const char *)w->data + r * w->dim[1], c, part, n);
			for (size_t i = 0; i < n; i++)
				out[r * w->dim[1] + c + i] =
					bf16_from_float(part[i] * scale[r / tile[0] * across + (c + i) / tile[1]]);
		}
}

static int make_float8(struct parts *p, const char *name)
{
	struct arena mem = ARENA_INIT;
	char *stem = stem_of(p, name, ".weight_scale_inv");
	void *out;
	size_t tile[2], n = 1;

	if (!stem && !(stem = stem_of(p, name, ".weight_scale")))
		return 0;
	const struct source_tensor *w = take(p, stem, ".weight"), *s = take(p, stem, name + strlen(stem));
	if (!w || w->n_dims != 2 || (w->dtype != DTYPE_F8_E4M3 && w->dtype != DTYPE_F8_E5M2) || !is_real(s) ||
	    s->n_dims > 2 || w->bytes == 0)
		return wrong(p, stem, "has a scale and is no matrix of 8-bit floats");
	if (find_tile(p, stem, w, s, tile) < 0 || add_made(p, stem, DTYPE_BF16, w->dim[0], w->dim[1], &out) < 0)
		return -1;
	for (int i = 0; i < s->n_dims; i++)
		n *= s->dim[i];
	float *scale = arena_array(&mem, n + 1, sizeof(*scale));
	dtypes[s->dtype].to_float(s->data, scale, n);
	scale_rows(w, scale, (w->dim[1] + tile[1] - 1) / tile[1], tile, out);
	arena_release(&mem);
	take(p, stem, ".input_scale"); /* of activations, which stay as they are */
	return 0;
}

/* --- 4-bit floats of bitsandbytes --- */

static const char STATE[] = ".weight.quant_state.bitsandbytes__";

struct codes {
	struct nf4_matrix m;
	size_t n;
	const char *kind;                /* "nf4", "fp4" */
	float map[16];                   /* what a number stands for */
	float *scale;                    /* [(n + block − 1) / block] as numbers, m.scale or what its codes stand for */
	bool usual;                      /* codes are those of bitsandbytes' own maps */
	enum dtype dtype;                /* of the numbers */
};

static bool is_vector(const struct source_tensor *t, enum dtype dtype, size_t n)
{
	return t && t->dtype == dtype && t->bytes == n * dtypes[dtype].bytes;
}

/* Scales of the blocks, which may be 8 bits with a map, scales of their own blocks and an offset (double
 * quantization). */
static int read_scales(struct parts *p, const char *stem, struct codes *x, const json_t *state, struct arena *mem)
{
	size_t n = (x->n + x->m.block - 1) / x->m.block, each = (size_t)MAX(whole(state, "nested_blocksize", 0), 0);
	const struct source_tensor *scale = take(p, stem, ".weight.absmax");

	x->scale = arena_array(mem, n, sizeof(float));
	if (!each && is_vector(scale, DTYPE_F32, n)) {
		memcpy(x->scale, scale->data, n * sizeof(float));
		return 0;
	}
	const struct source_tensor *map = take(p, stem, ".weight.nested_quant_map"),
	                           *over = take(p, stem, ".weight.nested_absmax");
	if (!each || !is_vector(scale, DTYPE_U8, n) || !is_vector(map, DTYPE_F32, 256) ||
	    !is_vector(over, DTYPE_F32, (n + each - 1) / each))
		return wrong(p, stem, "has no absmax for its blocks, or no proper nested_absmax and nested_quant_map");
	const float *value = map->data;
	bool usual = each == NF4_NESTED;
	x->m.offset = (float)json_real_value(json_object_get(state, "nested_offset"));
	x->m.nested = over->data;
	for (int i = 0; i < 256; i++)
		usual &= value[i] == nf4_dynamic((uint8_t)i);
	const uint8_t *code = scale->data;
	for (size_t i = 0; i < n; i++) {
		float product = value[code[i]] * x->m.nested[i / each]; /* rounded before the sum, as there */
		x->scale[i] = product + x->m.offset;
	}
	x->m.code = usual ? code : NULL;
	return 0;
}

static int read_state(struct parts *p, const char *stem, struct codes *x, const json_t *state, struct arena *mem)
{
	static const struct { const char *name; enum dtype dtype; enum nf4_rounding rounding; } kinds[] = {
		{ "float16", DTYPE_F16, NF4_F16 }, { "bfloat16", DTYPE_BF16, NF4_BF16 },
		{ "float32", DTYPE_F32, NF4_F32 },
	};
	const json_t *shape = json_object_get(state, "shape");
	const struct source_tensor *w = take(p, stem, ".weight"), *map = take(p, stem, ".weight.quant_map");
	int block = whole(state, "blocksize", 0);

	x->dtype = DTYPE_COUNT;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (says(state, "dtype", kinds[i].name)) {
			x->dtype = kinds[i].dtype;
			x->m.rounding = kinds[i].rounding;
		}
	json_int_t rows = json_integer_value(json_array_get(shape, 0));
	json_int_t cols = json_integer_value(json_array_get(shape, 1));
	if (json_array_size(shape) != 2 || rows < 1 || cols < 1 || block < 1 || x->dtype == DTYPE_COUNT ||
	    !size_mul((size_t)rows, (size_t)cols, &x->n))
		return wrong(p, stem, "has a quant_state without a shape, a blocksize or a dtype that is known");
	if (!w || w->dtype != DTYPE_U8 || w->bytes != x->n / 2 + x->n % 2 || !is_vector(map, DTYPE_F32, 16))
		return wrong(p, stem, "is no uint8 of its quant_state's shape, or has no quant_map of 16");
	x->m.rows = (size_t)rows;
	x->m.cols = (size_t)cols;
	x->m.block = (size_t)block;
	x->m.q = w->data;
	memcpy(x->map, map->data, sizeof(x->map));
	if (says(state, "quant_type", "fp4") && x->map[8] == 0)
		x->map[8] = -0.0F; /* bitsandbytes computes with the sign's bit, not with the map */
	x->kind = says(state, "quant_type", "fp4") ? "fp4" : "nf4";
	return read_scales(p, stem, x, state, mem);
}

/* In which form the matrix stands in memory: 4 bits where its blocks and its map are bitsandbytes' usual ones, else
 * numbers. */
static enum dtype form_of(const struct codes *x)
{
	bool nf4 = !strcmp(x->kind, "nf4");
	enum dtype plain = nf4 ? DTYPE_NF4 : DTYPE_FP4, nested = nf4 ? DTYPE_NF4_DQ : DTYPE_FP4_DQ;

	if (memcmp(x->map, nf4_map(plain), sizeof(x->map)) != 0)
		return x->dtype;
	if (x->m.code && x->m.block == NF4_BLOCK && nf4_fits(nested, x->m.cols))
		return nested;
	return x->m.block % NF4_BLOCK == 0 && nf4_fits(plain, x->m.cols) ? plain : x->dtype;
}

static void write_rows(const struct codes *x, enum dtype form, char *out)
{
	struct nf4_matrix m = x->m;

	m.scale = x->scale;
	for (size_t row = 0; row < m.rows; row++)
		nf4_put_row(form, &m, row, (uint8_t *)out + row * dtype_row_bytes(form, m.cols));
}

static void write_numbers(const struct codes *x, void *out)
{
	for (size_t i = 0; i < x->n; i++) {
		float v = x->map[x->m.q[i / 2] >> (i % 2 ? 0 : 4) & 15] * x->scale[i / x->m.block];
		dtypes[x->dtype].from_float(&v, (char *)out + i * dtypes[x->dtype].bytes, 1);
	}
}

static int make_float4(struct parts *p, const char *name)
{
	struct arena mem = ARENA_INIT;
	struct codes x = { 0 };
	const char *end = strstr(name, STATE);
	void *out;

	if (!end)
		return 0;
	char *stem = arena_strndup(&p->s->mem, name, (size_t)(end - name));
	const struct source_tensor *text = take(p, stem, end);
	json_t *state = text->dtype == DTYPE_U8 ? jsonx_load(text->data, text->bytes, name, p->e) : NULL;
	int status = state ? read_state(p, stem, &x, state, &mem) :
	                     wrong(p, stem, "has a quant_state that is no JSON");
	enum dtype form = status == 0 ? form_of(&x) : DTYPE_COUNT;
	if (status == 0)
		status = add_made(p, stem, form, x.m.rows, x.m.cols, &out);
	if (status == 0 && nf4_is(form))
		write_rows(&x, form, out);
	else if (status == 0)
		write_numbers(&x, out);
	if (status == 0)
		source_forget(p->s, x.m.q, x.n / 2);
	json_decref(state);
	arena_release(&mem);
	return status;
}

/* --- all --- */

static void tell(const struct parts *p)
{
	char bytes[32];

	if (p->n_made)
		log_say("%s: %zu matrices of %s become %s, %s of memory", p->s->path, p->n_made, p->form->name,
		        p->made[0].dtype_name, human_bytes(p->bytes, bytes));
}

static int make_all(struct parts *p)
{
	static int (*const make[])(struct parts *, const char *) = {
		[GPTQ] = make_packed, [AWQ] = make_packed, [FLOAT8] = make_float8, [FLOAT4] = make_float4
	};

	for (size_t i = 0; i < p->n; i++)
		if (make[p->form->method](p, p->all[i].name) < 0)
			return -1;
	return 0;
}

/* What was made, and what was not used for it. */
static int list_all(struct parts *p)
{
	struct source *s = p->s;

	s->list = arena_array(&s->mem, p->n + p->n_made, sizeof(*s->list));
	for (size_t i = 0; i < p->n; i++)
		if (!p->used[i])
			s->list[s->n_list++] = p->all[i];
	for (size_t i = 0; i < p->n_made; i++)
		s->list[s->n_list++] = p->made[i];
	qsort(s->list, s->n_list, sizeof(*s->list), by_name);
	for (size_t i = 1; i < s->n_list; i++)
		if (!by_name(&s->list[i - 1], &s->list[i]))
			return err_set(p->e, "%s: '%.120s' is there both quantized and as it is", s->path,
			               s->list[i].name);
	return 0;
}

int quantized_open(struct source *s, struct err *e)
{
	const json_t *j = json_object_get(s->config, "quantization_config");
	struct form form;
	struct err other = ERR_INIT; /* who reads the config says it, unless the architecture has a word for it */

	if (read_form(&form, j, s->path, &other) < 0 || form.method == NONE)
		return 0;
	if (says(s->config, "model_type", "gpt2"))
		return err_set(e, "%s: GPT-2 quantized by %s is not read", s->path, form.name);
	struct parts p = { .s = s, .form = &form, .n = source_count(s), .e = e };
	p.all = arena_array(&s->mem, p.n, sizeof(*p.all));
	p.used = arena_array(&s->mem, p.n, sizeof(*p.used));
	p.made = arena_array(&s->mem, p.n, sizeof(*p.made));
	for (size_t i = 0; i < p.n; i++)
		source_tensor(s, i, &p.all[i]);
	qsort(p.all, p.n, sizeof(*p.all), by_name);
	int status = make_all(&p);
	s->made = p.made;
	s->n_made = p.n_made;
	if (status == 0 && (status = list_all(&p)) == 0)
		tell(&p);
	return status;
}

void quantized_close(struct source *s)
{
	for (size_t i = 0; i < s->n_made; i++)
		mem_unmap((void *)(uintptr_t)s->made[i].data, MAX(s->made[i].bytes, (size_t)1));
}
