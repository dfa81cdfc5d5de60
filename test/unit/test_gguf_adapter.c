/* test_gguf_adapter: adapters as one GGUF file: those of llama.cpp's converter are the folders they were made of, ours
 * are theirs, what a file can say wrongly is refused with a sentence that names it. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "adapt/gguf_adapter.h"
#include "base/io.h"
#include "base/mem.h"
#include "fixture_gguf.h"

static bool open_golden(struct test *t, struct model *m, const char *name)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), name);
	int status = model_open(m, path, &e);
	CHECK_MSG(t, status == 0, "%s", e.msg);
	mem_free(path);
	return status == 0;
}

static bool load(struct test *t, struct adapter *a, const struct model *m, const char *path)
{
	struct err e = ERR_INIT;
	int status = adapter_load(a, path, m, &e);
	CHECK_MSG(t, status == 0, "%s", e.msg);
	return status == 0;
}

/* The largest difference between the weights that two adapters make of the model's. */
static double difference(const struct model *m, const struct adapter *a, const struct adapter *b)
{
	double most = 0;
	for (size_t i = 0; i < m->n_weights; i++) {
		size_t n = m->weights[i].dim[0] * (m->weights[i].n_dims == 2 ? m->weights[i].dim[1] : 1);
		float *x = mem_array(n, sizeof(*x)), *y = mem_array(n, sizeof(*y));
		adapter_merged(a, m, (int)i, x);
		adapter_merged(b, m, (int)i, y);
		for (size_t k = 0; k < n; k++)
			most = fmax(most, fabs(x[k] - y[k]));
		mem_free(x);
		mem_free(y);
	}
	return most;
}

/* The folder, its GGUF as given (NULL: as written here), and that back as a folder: one adapter. */
static void round_trip(struct test *t, const char *model, const char *adapter, const char *gguf, double limit)
{
	struct model m;
	struct adapter peft, file, back;
	struct err e = ERR_INIT;
	char *folder = io_join(test_golden(), adapter),
	     *path = gguf ? io_join(test_golden(), gguf) : mem_printf("%s/%s-%s.gguf", test_tmp(), model, adapter);
	char *again = mem_printf("%s/%s-%s-back", test_tmp(), model, adapter);

	if (open_golden(t, &m, model)) {
		if (load(t, &peft, &m, folder)) {
			if (!gguf)
				CHECK_MSG(t, gguf_adapter_save(&peft, &m, path, DTYPE_F32, &e) == 0, "%s", e.msg);
			CHECK(t, gguf_adapter_is(path) && !gguf_adapter_is(folder));
			if (load(t, &file, &m, path)) {
				double d = difference(&m, &peft, &file);
				CHECK_MSG(t, d <= limit, "%s is not %s: %g", path, folder, d);
				CHECK_MSG(t, adapter_save(&file, &m, again, &e) == 0, "%s", e.msg);
				if (load(t, &back, &m, again)) {
					CHECK(t, difference(&m, &back, &file) == 0);
					adapter_release(&back);
				}
				adapter_release(&file);
			}
			adapter_release(&peft);
		}
		model_close(&m);
	}
	mem_free(folder);
	mem_free(path);
	mem_free(again);
}

static void same_bytes(struct test *t, const char *one, const char *two)
{
	struct buf x = BUF_INIT, y = BUF_INIT;
	struct err e = ERR_INIT;
	char *a = mem_printf("%s/%s", test_tmp(), one), *b = mem_printf("%s/%s", test_tmp(), two);
	CHECK_MSG(t, io_read(&x, a, &e) == 0 && io_read(&y, b, &e) == 0, "%s", e.msg);
	CHECK(t, x.len == y.len && x.len > 0 && !memcmp(x.data, y.data, x.len));
	buf_release(&x);
	buf_release(&y);
	mem_free(a);
	mem_free(b);
}

/* Tensor by tensor: names, dims and numbers are those that llama.cpp's converter writes. */
static void test_like_theirs(struct test *t)
{
	struct gguf ours, theirs;
	struct err e = ERR_INIT;
	char *path = mem_printf("%s/llama-llama-lora.gguf", test_tmp()),
	     *golden = io_join(test_golden(), "llama-lora.gguf");

	test_case(t, "what is written is what llama.cpp's converter writes");
	if (gguf_open(&ours, path, &e) == 0 && gguf_open(&theirs, golden, &e) == 0) {
		CHECK(t, ours.n_tensors == theirs.n_tensors);
		for (size_t i = 0; i < ours.n_tensors; i++) {
			const struct gguf_tensor *x = &ours.tensors[i], *y = gguf_find_tensor(&theirs, x->name);
			CHECK_MSG(t,
			          y && x->dtype == y->dtype && x->n_dims == y->n_dims &&
			                  !memcmp(x->dim, y->dim, sizeof(x->dim)),
			          "%s", x->name);
			CHECK_MSG(t,
			          y && x->bytes == y->bytes &&
			                  !memcmp(ours.data + x->offset, theirs.data + y->offset, x->bytes),
			          "%s", x->name);
		}
		double x, y;
		gguf_real(&ours, "adapter.lora.alpha", true, 0, &x, &e);
		gguf_real(&theirs, "adapter.lora.alpha", true, 0, &y, &e);
		CHECK(t, x == y && x == 8);
		gguf_close(&ours);
		gguf_close(&theirs);
	}
	CHECK_MSG(t, !e.msg[0], "%s", e.msg);
	mem_free(path);
	mem_free(golden);
}

/* --- files made wrong --- */

struct made {
	const char *arch, *type, *kind;
	float alpha;
	uint64_t rank_a, rank_b, in;
	const char *first, *second;
};

static const struct made right = {
	"llama", "adapter", "lora", 3, 2, 2, 32, "blk.0.attn_v.weight.lora_a", "blk.0.attn_v.weight.lora_b"
};

/* An adapter on one layer's v, 32 → 16. Returns the sentence with which it is refused, "" for none, and what the merged
 * weight gained. */
static const char *try(struct test *t, const struct model *m, const struct made *x, struct err *e, double *gained)
{
	struct gguf_fixture f = { 0 };
	struct buf bytes = BUF_INIT;
	struct adapter a;
	float a_numbers[64 * 4], b_numbers[64 * 4];
	char *path = mem_printf("%s/made.gguf", test_tmp());

	for (size_t i = 0; i < ARRAY_LEN(a_numbers); i++)
		a_numbers[i] = b_numbers[i] = 1;
	fixture_str(&f, "general.architecture", x->arch);
	fixture_str(&f, "general.type", x->type);
	fixture_str(&f, "adapter.type", x->kind);
	fixture_f32(&f, "adapter.lora.alpha", x->alpha);
	fixture_floats(&f, x->first, 2, (uint64_t[]){ x->in, x->rank_a }, DTYPE_F32, a_numbers);
	if (x->second)
		fixture_floats(&f, x->second, 2, (uint64_t[]){ x->rank_b, 16 }, DTYPE_F32, b_numbers);
	fixture_finish(&f, &bytes);
	*e = (struct err)ERR_INIT;
	*gained = NAN;
	CHECK(t, io_write(path, bytes.data, bytes.len, e) == 0);
	if (adapter_load(&a, path, m, e) == 0) {
		int v = model_weight_by_name(m, "model.layers.0.self_attn.v_proj.weight");
		float *w = mem_array(16 * 32, sizeof(*w)), *own = mem_array(16 * 32, sizeof(*w));
		adapter_merged(&a, m, v, w);
		model_weight_float(m, v, own);
		*gained = w[5] - own[5];
		mem_free(w);
		mem_free(own);
		adapter_release(&a);
	}
	buf_release(&bytes);
	mem_free(path);
	return e->msg;
}

static void refused(struct test *t, const struct model *m, struct made x, const char *why)
{
	struct err e;
	double gained;
	const char *said = try(t, m, &x, &e, &gained);
	CHECK_MSG(t, strstr(said, why) && strstr(said, "made.gguf"), "\"%s\" was said, \"%s\" was wanted", said, why);
}

static void test_made(struct test *t, const struct model *m)
{
	struct err e;
	double gained;
	struct made x = right;

	test_case(t, "alpha over the tensor's own rank; an alpha of 0 is a scale of 1");
	CHECK_MSG(t, !*try(t, m, &x, &e, &gained), "%s", e.msg);
	CHECK_MSG(t, fabs(gained - 3.0 / 2 * 2) < 1e-5, "%g", gained);
	x.rank_a = x.rank_b = 3;
	CHECK_MSG(t, !*try(t, m, &x, &e, &gained) && fabs(gained - 3) < 1e-5, "%s %g", e.msg, gained);
	x.alpha = 0;
	CHECK_MSG(t, !*try(t, m, &x, &e, &gained) && fabs(gained - 3) < 1e-5, "%s %g", e.msg, gained);

	test_case(t, "what is wrong is named");
	x = right; x.arch = "qwen2"; refused(t, m, x, "general.architecture is 'qwen2', 'llama' was wanted");
	x = right; x.type = "model"; refused(t, m, x, "a model, where a GGUF file of an adapter was wanted");
	x = right; x.kind = "ia3"; refused(t, m, x, "adapter.type is 'ia3', which this");
	x = right; x.alpha = NAN; refused(t, m, x, "adapter.lora.alpha is no number");
	x = right; x.rank_b = 3; refused(t, m, x, "do not have one rank");
	x = right; x.in = 31; refused(t, m, x, "2×31");
	x = right; x.second = NULL; refused(t, m, x, "is without its other half");
	x = right; x.first = "blk.0.attn_v.weight"; refused(t, m, x, "neither a .lora_a nor a .lora_b");
	x = right; x.first = "blk.9.attn_v.weight.lora_a"; refused(t, m, x, "is for no weight of");
	x = right;
	x.first = "blk.0.attn_norm.weight.lora_a";
	x.second = "blk.0.attn_norm.weight.lora_b";
	refused(t, m, x, "input_layernorm");
}

/* An adapter made here with its own scales comes back with them. */
static void test_scales(struct test *t, const struct model *m)
{
	struct adapter a, b;
	struct err e = ERR_INIT;
	char *path = mem_printf("%s/scales.gguf", test_tmp());
	const char *options[] = { "lora-r", "4",    "lora-alpha",     "8",
		                  "use-rslora", "true", "target-modules", "q_proj,k_proj",
		                  NULL };

	test_case(t, "rsLoRA's scale becomes an alpha that gives it; numbers as f16");
	if (adapter_new_named(&a, "lora", m, options, 3, &e) == 0) {
		for (size_t i = 0; i < a.overlay.params.n; i++)
			a.overlay.params.w[i] = (float)((double)(i % 13) / 8 - 0.75);
		CHECK_MSG(t, gguf_adapter_save(&a, m, path, DTYPE_F16, &e) == 0, "%s", e.msg);
		if (load(t, &b, m, path)) {
			CHECK_MSG(t, difference(m, &a, &b) < 1e-5, "%g", difference(m, &a, &b));
			adapter_release(&b);
		}
		adapter_release(&a);
	}
	CHECK_MSG(t, !e.msg[0], "%s", e.msg);
	mem_free(path);
}

static void refuses_to_write(struct test *t, const char *model, const char *adapter, const char *why)
{
	struct model m;
	struct adapter a;
	struct err e = ERR_INIT;
	char *folder = io_join(test_golden(), adapter), *path = mem_printf("%s/no.gguf", test_tmp());

	if (open_golden(t, &m, model)) {
		if (load(t, &a, &m, folder)) {
			CHECK_MSG(t, gguf_adapter_save(&a, &m, path, DTYPE_F32, &e) < 0 && strstr(e.msg, why), "\"%s\"",
			          e.msg);
			CHECK(t, !io_exists(path));
			adapter_release(&a);
		}
		model_close(&m);
	}
	mem_free(folder);
	mem_free(path);
}

void test_gguf_adapter(struct test *t)
{
	struct model m;

	test_case(t, "files of llama.cpp's converter are the folders that they were made of");
	round_trip(t, "llama", "llama-lora", "llama-lora.gguf", 0);
	round_trip(t, "llama.gguf", "llama-lora", "llama-lora.gguf", 0);
	round_trip(t, "llama-untied", "llama-untied-ends", "llama-untied-ends.gguf", 0);

	test_case(t, "ours come back, from a folder's model and from a GGUF's");
	round_trip(t, "llama", "llama-lora", NULL, 0);
	round_trip(t, "llama.gguf", "llama-lora", NULL, 0);
	round_trip(t, "llama", "llama-rslora", NULL, 1e-6);
	round_trip(t, "llama-untied", "llama-untied-ends", NULL, 0);
	same_bytes(t, "llama-llama-lora.gguf", "llama.gguf-llama-lora.gguf");
	test_like_theirs(t);

	if (open_golden(t, &m, "llama")) {
		test_made(t, &m);
		test_scales(t, &m);
		model_close(&m);
	}

	test_case(t, "experts: one tensor for all of a layer, and zeros for those that nothing is added to");
	round_trip(t, "mixtral", "mixtral-lora", NULL, 0);
	round_trip(t, "mixtral.gguf", "mixtral-lora", NULL, 0);
	round_trip(t, "qwen3_moe", "qwen3_moe-fused", NULL, 0);

	test_case(t, "what llama.cpp has no place for is refused with the reason");
	refuses_to_write(t, "llama", "llama-ends", "one matrix for both");
	refuses_to_write(t, "llama-untied", "llama-untied-whole", "saves modules whole");
}
