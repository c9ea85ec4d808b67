//! Requests and responses, whole and streamed, with back-pressure both ways; calls to the host.
