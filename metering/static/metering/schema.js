// Shows the OpenAPI document that the page names, in Swagger UI. Requests that are tried carry the page's CSRF token.
const place = document.getElementById("schema");
SwaggerUIBundle({
  url: place.dataset.url,
  domNode: place,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  requestInterceptor: (request) => {
    const token = document.cookie.match(/(?:^|; )csrftoken=([^;]*)/);
    if (token && !["GET", "HEAD"].includes(request.method)) request.headers["X-CSRFToken"] = token[1];
    return request;
  },
});
