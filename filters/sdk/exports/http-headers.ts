/** Both header callbacks; a module that needs one of them exports its file alone. */
export * from './http-request-headers';
export * from './http-response-headers';
