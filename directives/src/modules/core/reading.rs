//! Directives that act while the files are read; `expand` carries them out.

use crate::schema::{Args, Context, Directive, Override, Read, Set};

macro_rules! reading {
    ($($name:ident: $spelling:literal $(= $alias:literal)?, $syntax:literal, $context:ident, $args:ident, $read:ident, $summary:literal, $docs:literal;)*) => {
        $(pub static $name: Directive = Directive {
            name: $spelling,
            aliases: &[$($alias)?],
            syntax: $syntax,
            context: Context::$context,
            overrides: reading!(@override $context),
            summary: $summary,
            docs: $docs,
            set: Set::Read(Args::$args, Read::$read),
            ..Directive::EXACT
        };)*
    };
    (@override ANYWHERE) => { Override::ALL };
    (@override $context:ident) => { Override::NONE };
}

reading! {
    IF_MODULE: "<IfModule", "[!]module-file|module-identifier", ANYWHERE, Raw, IfModule,
        "Container for directives based on existence of specified modules", r"
What stands inside counts only if the module is there. It is true for what this server
does, by the names of the modules that did it in httpd: `mod_fastcgi.c` and
`fastcgi_module` among them.

## Example
    <IfModule mod_fastcgi.c>
        AddHandler fastcgi-script .fcgi
    </IfModule>
";
    IF_DEFINE: "<IfDefine", "[!]parameter-name", ANYWHERE, Raw, IfDefine,
        "Container for directives based on existence of command line defines", r"
What stands inside counts only if the parameter was defined, with `-D` or `Define`.

## Example
    <IfDefine !TESTING>
        Timeout 60
    </IfDefine>
";
    IF_FILE: "<IfFile", "[!]filename", ANYWHERE, Raw, IfFile,
        "Container for directives based on existence of files on disk", r"
What stands inside counts only if the file exists; a relative name is below `ServerRoot`.

## Example
    <IfFile conf/local.conf>
        Include conf/local.conf
    </IfFile>
";
    IF_DIRECTIVE: "<IfDirective", "[!]directive-name", ANYWHERE, Raw, IfDirective,
        "Container for directives based on existence of named directive", r"
What stands inside counts only if this server knows the directive.

## Example
    <IfDirective FastCgiConfig>
        FastCgiConfig -maxProcesses 20
    </IfDirective>
";
    IF_SECTION: "<IfSection", "[!]section-name", ANYWHERE, Raw, IfSection,
        "Container for directives based on existence of named section", r"
What stands inside counts only if this server knows the container.

## Example
    <IfSection LocationMatch>
        Timeout 60
    </IfSection>
";
    IF_VERSION: "<IfVersion", "[[!]operator] version", ANYWHERE, Raw, IfVersion,
        "a comparison operator, a version (and a delimiter)", r"
What stands inside counts only if the version compares so. The version is that of the
httpd that this server is compatible with.

## Example
    <IfVersion >= 2.4>
        <Directory /srv/www>
            Require all granted
        </Directory>
    </IfVersion>
";
    DEFINE: "Define", "parameter-name [parameter-value]", CONFIG, OneOrTwo, Define,
        "Define a variable, optionally to a value.  Same as passing -D to the command line.", r"
Defines a parameter for `<IfDefine>` and, with a value, a variable for `${name}` in the
lines that follow.

## Example
    Define apps /srv/apps
    FastCgiExternalServer ${apps}/gate -socket gate.sock
";
    UNDEFINE: "UnDefine" = "UnDefine", "parameter-name", CONFIG, One, UnDefine,
        "Undefine the existence of a variable. Undo a Define.", r"
Takes a parameter back.

## Example
    UnDefine apps
";
    ERROR: "Error", "message", ANYWHERE, Raw, Error,
        "Generate error message from within configuration", r"
Refuses the configuration with a message: for use inside conditions.

## Example
    <IfModule !fastcgi_module>
        Error no FastCGI here
    </IfModule>
";
    INCLUDE: "Include", "file-path|directory-path|wildcard", CONFIG, One, Include,
        "Name(s) of the config file(s) to be included; fails if the wildcard does not match at \
         least one file", r"
Reads other files as if they stood here: one file, all files that a pattern names in
the order of their names, or all files below a directory.

## Example
    IncludeOptional conf.d/*.conf
";
    INCLUDE_OPTIONAL: "IncludeOptional", "file-path|directory-path|wildcard", CONFIG, One,
        IncludeOptional,
        "Name or pattern of the config file(s) to be included; ignored if the file does not \
         exist or the pattern does not match any files", r"
As `Include`, but what is not there is passed over.

## Example
    IncludeOptional sites-enabled/*.conf
";
    SERVER_ROOT: "ServerRoot", "directory-path", SERVER, One, ServerRoot,
        "Common directory of server-related files (logs, confs, etc.)", r"
The directory below which relative names of configuration and log files lie.

## Example
    ServerRoot /
";
    LOAD_MODULE: "LoadModule", "module filename", SERVER, Two, LoadModule,
        "a module name and the name of a shared object file to load it from", r"
Accepted whether or not the file exists: what this server does is built in. A module
that it does not have is noted; its `<IfModule>` is false and its directives are refused
where they stand. A module that protects by its mere loading is refused at once.

## Example
    LoadModule fastcgi_module modules/mod_fastcgi.so
";
    LOAD_FILE: "LoadFile", "filename [filename] ...", SERVERS, Each, LoadFile,
        "shared object file or library to load into the server at runtime", r"
Accepted without effect: nothing is loaded.

## Example
    LoadFile libexec/libxml2.so
";
    MACRO: "<Macro", "name [par1 .. parN]", CONFIG, Raw, Macro,
        "Beginning of a macro definition section.", r"
Lines to be used several times, with parameters. Parameter names begin with `$`, `%` or
`@` and are replaced everywhere in the lines.

## Example
    <Macro App $name $port>
        FastCgiExternalServer /virtual/$name -host 127.0.0.1:$port
        Alias /$name /virtual/$name
    </Macro>
    Use App wiki 9001
";
    USE: "Use", "name [value1 ... valueN]", CONFIG, Each, Use,
        "Use of a macro.", r"
Puts a macro's lines here, with values for its parameters.

## Example
    <Macro Wait $n>
        Timeout $n
    </Macro>
    Use Wait 30
";
    UNDEF_MACRO: "UndefMacro", "name", CONFIG, One, UndefMacro,
        "Remove a macro definition.", r"
Forgets a macro.

## Example
    <Macro Wait $n>
        Timeout $n
    </Macro>
    UndefMacro Wait
";
}
