/* microhttpd: the library is opened once and stays. */
#include "serve/microhttpd.h"

#include <dlfcn.h>
#include <string.h>

#include "base/mem.h"

int microhttpd_open(struct microhttpd *m, struct err *e)
{
	const struct {
		const char *name;
		void *to;
	} symbols[] = {
		{ "MHD_start_daemon", &m->start },
		{ "MHD_stop_daemon", &m->stop },
		{ "MHD_create_response_from_buffer", &m->response },
		{ "MHD_create_response_from_callback", &m->growing },
		{ "MHD_suspend_connection", &m->suspend },
		{ "MHD_resume_connection", &m->resume },
		{ "MHD_add_response_header", &m->add_header },
		{ "MHD_queue_response", &m->queue },
		{ "MHD_destroy_response", &m->drop },
		{ "MHD_get_connection_values", &m->values },
		{ "MHD_get_connection_info", &m->info },
		{ "MHD_get_version", &m->version },
	};
	void *library = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return err_set(e, "serving wants GNU libmicrohttpd (libmicrohttpd.so.12), which is not there; Debian's "
		                  "package is libmicrohttpd12");
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
		void *found = dlsym(library, symbols[i].name);
		if (!found)
			return err_set(e, "libmicrohttpd is too old: it has no %s", symbols[i].name);
		memcpy(symbols[i].to, &found, sizeof(found));
	}
	return 0;
}
