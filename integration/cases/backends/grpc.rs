//! A real gRPC server, and nginx before it with a certificate and pages over HTTP/2.

use std::fs;
use std::time::Duration;

use super::{SETTLED, Site, service};
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, wait_until};

/// Python takes its time to begin in a guest that is busy.
const BEGUN: Duration = Duration::from_secs(45);

const SERVER: &str = include_str!("grpc_server.py");

/// A certificate for a name, good for twenty days, and its key.
const CERTIFICATE: &str = "[req]\ndistinguished_name = dn\nx509_extensions = v3\nprompt = no\n[dn]\nCN = shop\n[v3]\n\
     basicConstraints = critical, CA:FALSE\nsubjectAltName = DNS:shop.example.org\n";

/// It answers to HEAD with the right header alone, and passes gRPC on.
fn nginx_conf(dir: &str) -> String {
    format!(
        "daemon off;\nmaster_process off;\nuser root;\npid {dir}/pid;\nerror_log {dir}/error.log;\n\
         events {{\n worker_connections 64;\n}}\nhttp {{\n access_log off;\n ssl_certificate {dir}/cert.pem;\n \
         ssl_certificate_key {dir}/key.pem;\n client_body_temp_path {dir}/t1;\n proxy_temp_path {dir}/t2;\n \
         fastcgi_temp_path {dir}/t3;\n uwsgi_temp_path {dir}/t4;\n scgi_temp_path {dir}/t5;\n \
         server {{\n listen 192.0.2.1:8443 ssl http2;\n listen 192.0.2.1:8081 http2;\n \
         location /two {{\n if ($server_protocol != HTTP/2.0) {{\n return 403;\n }}\n return 200 page.of.two;\n }}\n \
         location / {{\n set $asked \"$request_method $http_x_probe\";\n if ($asked != \"HEAD a b\") {{\n return 403;\n }}\n return 200 well;\n }}\n \
         location /grpc. {{\n grpc_pass grpc://192.0.2.1:50051;\n }}\n }}\n}}\n"
    )
}

fn conf(dir: &str) -> String {
    let grpc = |more: &str| format!("@vipd GRPC_CHECK {{\n@vipd log_all_failures\n{more}@vipd }}");
    let page = |more: &str, url: &str| {
        format!("SSL_GET {{\n virtualhost shop.example.org\n{more} url {{\n path /\n{url} }}\n }}")
    };
    let two = |keyword: &str, more: &str| {
        format!("{keyword} {{\n{more} url {{\n path /two\n regex ^page.of.two$\n }}\n }}")
    };
    let asked = "@vipd method HEAD\n@vipd header X-Probe: a b\n";
    let ca = format!("@vipd tls_ca {dir}/cert.pem\n");
    service(8001, &[50051], &grpc(""))
        + &service(8002, &[50051], &grpc("@vipd service shop.Cart\n"))
        + &service(8003, &[50051], &grpc("@vipd service shop.None\n"))
        + &service(
            8004,
            &[8443],
            &grpc(&format!(
                "@vipd tls verify\n@vipd tls_name shop.example.org\n{ca}"
            )),
        )
        + &service(8005, &[8443], &grpc("@vipd tls verify\n"))
        + &service(
            8006,
            &[8443],
            &page(
                &format!("@vipd tls_verify\n@vipd tls_expiry_warning 30\n{ca}"),
                asked,
            ),
        )
        + &service(8007, &[8443], &page("@vipd tls_verify\n", asked))
        + &service(8008, &[8443], &page("", "@vipd method HEAD\n"))
        + &service(8009, &[8443], &two("SSL_GET", "@vipd http2\n"))
        + &service(8010, &[8081], &two("HTTP_GET", "@vipd http2\n"))
        + &service(8011, &[8443], &two("SSL_GET", ""))
}

pub(super) fn run(lab: &Lab) -> Outcome {
    let site = Site::new(lab)?;
    let host = &site.host;
    let dir = host.dir().display().to_string();
    let file = |name: &str| format!("{dir}/{name}");
    fs::write(file("server.py"), SERVER)?;
    fs::write(file("openssl.cnf"), CERTIFICATE)?;
    fs::write(file("nginx.conf"), nginx_conf(&dir))?;
    fs::write(file("states"), "all 1\nshop.Cart 1\n")?;
    host.sh(&format!(
        "cd {dir} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 20 \
         -config openssl.cnf -keyout key.pem -out cert.pem"
    ))?;
    let _nginx = host.spawn("nginx", &["nginx", "-c", &file("nginx.conf")])?;
    let argv = [
        "/usr/bin/python3",
        &file("server.py"),
        "192.0.2.1:50051",
        &file("states"),
    ];
    let mut server = host.spawn("grpc", &argv)?;
    for port in [8443, 8081, 50051] {
        let connect = move || std::net::TcpStream::connect(("192.0.2.1", port)).is_ok();
        wait_until(format!("somebody listens on {port}"), BEGUN, || {
            host.within(connect)
        })?;
    }
    let mut daemon = site.start(lab, &conf(&dir))?;
    let (whole, cart, proxied, page, tls, clear) = (
        "8001>50051*100",
        "8002>50051*100",
        "8004>8443*100",
        "8006>8443*100",
        "8009>8443*100",
        "8010>8081*100",
    );
    site.wait_pools(lab, "all serve", &[whole, cart, proxied, page, tls, clear])?;
    for said in [
        "the server knows nothing of the health of the service shop.None",
        "invalid peer certificate",
        "HEAD /: status 403, not 200-299",
        "GET /two: status 403, not 200-299",
        "the server's certificate expires in 19 days",
    ] {
        daemon.wait_log(said, 1, SETTLED)?;
    }
    fs::write(file("states"), "all 2\nshop.Cart 1\n")?;
    site.wait_pools(lab, "one service serves", &[cart, page, tls, clear])?;
    daemon.wait_log("the server as a whole is NOT_SERVING", 1, SETTLED)?;
    server.kill()?;
    site.wait_pools(lab, "the server is gone", &[page, tls, clear])?;
    daemon.wait_log("connection refused (ECONNREFUSED)", 1, SETTLED)?;
    let status = daemon.stop()?;
    ensure!(status.success(), "it stopped with {status}");
    Ok(())
}
