/* call: the way into the library and out of it. What a caller may get wrong is checked before anything happens: a
 * handle's kind is a word in it, so a stranger's or a freed one is told from one of ours, and one that is in use
 * elsewhere is refused. What was changed of the thread (rounding of denormals, locale, log) is put back on the way
 * out and around callbacks. */
#include "api/call.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { THREADS_MAX = 1024 };

/* --- errors --- */

static int fail(struct kf_error *error, int status, const char *text)
{
	if (error) {
		error->status = status;
		snprintf(error->message, sizeof(error->message), "%s", text);
	}
	return status;
}

static int misuse(struct kf_error *error, const char *fmt, va_list ap)
{
	char text[sizeof(error->message)];
	vsnprintf(text, sizeof(text), fmt, ap);
	return fail(error, KF_MISUSE, text);
}

static int refuse(struct kf_error *error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(struct kf_error *error, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	misuse(error, fmt, ap);
	va_end(ap);
	return -1;
}

static const char *kind_name(uint32_t kind)
{
	switch (kind) {
	case KIND_MODEL: return "kf_model";
	case KIND_ADAPTER: return "kf_adapter";
	case KIND_DATA: return "kf_data";
	case KIND_SESSION: return "kf_session";
	case KIND_EVALUATOR: return "kf_evaluator";
	case KIND_TRAINER: return "kf_trainer";
	case KIND_LABELLER: return "kf_labeller";
	default: return "freed or foreign handle";
	}
}

/* --- handles --- */

static bool is_shared(uint32_t kind) { return kind < KIND_SHARED_END; }

void handle_init(struct handle *h, enum kind kind, const struct call *c)
{
	h->kind = kind;
	h->settings = c->settings;
	atomic_store(&h->refs, 1);
}

bool handle_is(const void *handle, enum kind kind)
{
	return handle && ((const struct handle *)handle)->kind == kind;
}

void *handle_share(void *handle)
{
	if (handle)
		atomic_fetch_add(&((struct handle *)handle)->refs, 1);
	return handle;
}

bool handle_defer(void *handle)
{
	struct handle *h = handle;
	atomic_store(&h->freed, true);
	return atomic_exchange(&h->busy, true);
}

bool handle_drop(void *handle)
{
	struct handle *h = handle;
	if (atomic_fetch_sub(&h->refs, 1) > 1)
		return false;
	h->kind = KIND_NONE;
	return true;
}

struct pool *handle_pool(const struct handle *h) { return pool_new(h->settings.threads); }

/* --- the caller's ways and ours --- */

static void tell(void *ctx, enum log_level level, const char *text)
{
	struct call *c = ctx;
	if (!c->settings.log)
		return;
	call_outside(c);
	c->settings.log(c->settings.log_ctx, level == LOG_WARNING ? KF_LOG_WARNING : KF_LOG_INFO, text);
	call_inside(c);
}

void call_inside(struct call *c)
{
	c->outer_floats = float_state();
	c->outer_locale = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0)); /* glibc's own, never freed */
	c->outer_sink = log_lend(&c->sink);
}

void call_outside(struct call *c)
{
	log_lend(c->outer_sink);
	uselocale(c->outer_locale);
	float_restore(c->outer_floats);
}

static void enter(struct call *c, struct kf_error *error)
{
	c->error = error;
	c->sink = (struct log_sink){ tell, c };
	call_inside(c);
}

int call_begin(struct call *c, const void *handle, enum kind kind, struct kf_error *error)
{
	struct handle *h = (struct handle *)(uintptr_t)handle; /* a const one is still taken for the time of the call */

	*c = (struct call){ 0 };
	if (!h)
		return refuse(error, "a %s was wanted, found NULL", kind_name(kind));
	if (h->kind != kind)
		return refuse(error, "a %s was wanted, found a %s", kind_name(kind), kind_name(h->kind));
	if (!is_shared(kind)) {
		if (atomic_exchange(&h->busy, true))
			return refuse(error, "this %s is in use: one call at a time, from one thread", kind_name(kind));
		c->handle = h;
		c->settings = h->settings;
	}
	enter(c, error);
	return 0;
}

int call_open(struct call *c, const struct kf_settings *settings, struct kf_error *error)
{
	*c = (struct call){ 0 };
	if (settings && (settings->threads < 0 || settings->threads > THREADS_MAX))
		return refuse(error, "settings.threads is %d: 0 to %d was wanted", settings->threads, THREADS_MAX);
	if (settings && (settings->reserved_flags || !is_zero(settings->reserved, sizeof(settings->reserved))))
		return refuse(error, "settings.reserved must be zero");
	if (settings)
		c->settings = *settings;
	enter(c, error);
	return 0;
}

/* What was freed inside its own call, now that the call has ended. */
static void free_handle(struct handle *h)
{
	switch (h->kind) {
	case KIND_SESSION: kf_session_free((struct kf_session *)h); break;
	case KIND_EVALUATOR: kf_evaluator_free((struct kf_evaluator *)h); break;
	case KIND_TRAINER: kf_trainer_free((struct kf_trainer *)h); break;
	case KIND_LABELLER: kf_labeller_free((struct kf_labeller *)h); break;
	default: BUG("a %s that is busy", kind_name(h->kind));
	}
}

static int leave(struct call *c, int status)
{
	struct handle *h = c->handle;

	call_outside(c);
	if (h) {
		atomic_store(&h->busy, false);
		if (atomic_load(&h->freed))
			free_handle(h);
	}
	return status;
}

int call_misuse(struct call *c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	misuse(c->error, fmt, ap);
	va_end(ap);
	return leave(c, KF_MISUSE);
}

int call_end(struct call *c, int status)
{
	if (status >= 0)
		fail(c->error, status, "");
	else
		status = fail(c->error, c->stopped ? KF_STOPPED : KF_FAILED, c->err.msg);
	return leave(c, status);
}

/* --- checks --- */

bool is_path(const char *path) { return path && path[0] && strcmp(path, "-") != 0; }

bool is_zero(const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((const unsigned char *)bytes)[i])
			return false;
	return true;
}

bool are_ids(const int32_t *ids, size_t n, int32_t vocabulary, size_t *wrong)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] < 0 || ids[i] >= vocabulary) {
			*wrong = i;
			return false;
		}
	return true;
}

/* --- what belongs to no handle --- */

const char *kf_version(void) { return KUNGFU_VERSION; }
int kf_abi(void) { return KF_ABI; }
void kf_free(void *p) { mem_free(p); }
